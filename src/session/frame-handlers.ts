import type { SessionRecord } from "../chat/session-store.ts";
import type { AnswerHandle, Submission } from "../chat/running-answer.ts";
import { ServiceError } from "../core/errors.ts";
import { hashOf } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import { TokenError, type VerifiedToken } from "../auth/token-verifier.ts";
import {
  DEFAULT_HISTORY_TURNS,
  type AuthRefreshFrame,
  type CancelFrame,
  type ClientFrame,
  type HistoryFrame,
  type MessageFrame,
  type ResumeFrame,
  type ResumedAnswer,
} from "../protocol/client-frames.ts";
import { retryAfterReason, type CloseReason } from "../protocol/close-codes.ts";
import type { ServerFrame } from "../protocol/server-frames.ts";
import type { CursorOptions } from "./delivery/cursor.ts";
import type { SessionHost } from "./session-host.ts";

/** What a frame handler may use of the connection that received the frame. */
export interface Connection {
  readonly host: SessionHost;
  readonly owner: Principal;
  readonly record: SessionRecord;
  /** Whether the socket requested the extended frames. */
  readonly streaming: boolean;
  /** True once the socket is closed or closing: nothing is sent after that. */
  readonly ended: boolean;
  /** Sends a frame outside any answer, or queues it while the socket is blocked. */
  reply(frame: ServerFrame): void;
  /** Sends an `error` frame. */
  refuse(error: unknown, names: { readonly id?: string; readonly answer?: string }): void;
  /** Sends an answer on this socket; does nothing if the socket reads that answer already. */
  watch(handle: AnswerHandle, options: CursorOptions): void;
  /** Sends turns and running answers of a conversation once the socket is writable. @throws ServiceError `busy` */
  showHistory(conversation: string, limit: number): void;
  /**
   * Replaces the connection's own session by an earlier one, to which it is attached already. Returns false and
   * changes nothing if the client of that session has its maximum number of sockets.
   */
  adopt(hash: string, record: SessionRecord): boolean;
  /** Replaces the token by a newer one of the same subject. */
  renew(token: VerifiedToken): void;
  close(reason: CloseReason, text: string): void;
}

type FrameOf<T extends ClientFrame["type"]> = Extract<ClientFrame, { type: T }>;

/** `first`: whether the frame is the first one of its connection. Thrown errors are sent as `error` frames. */
type Handler<T extends ClientFrame["type"]> = (
  connection: Connection,
  frame: FrameOf<T>,
  first: boolean,
) => void | Promise<void>;

/** Frames that are handled one at a time, in order of arrival; `ping` and `ack` are handled at once. */
export type OrderedFrame = Exclude<ClientFrame, { type: "ping" | "ack" }>;

const handlers: { readonly [T in OrderedFrame["type"]]: Handler<T> } = {
  message,
  cancel,
  resume,
  history,
  "auth.refresh": refresh,
};

/** Milliseconds until another socket has closed or slow readers have caught up; an estimate. */
const FULL_RETRY_MS = 5000;

/** Message of the notice `context_dropped`. */
export const CONTEXT_DROPPED =
  "Your context was dropped, because the server's memory for contexts was full. " +
  "Answers do not use it any more. Set it again with /setcontext.";

/** Handles one frame. @throws ServiceError whose message is sent to the client */
export function handleFrame(
  connection: Connection,
  frame: OrderedFrame,
  first: boolean,
): void | Promise<void> {
  return (handlers[frame.type] as Handler<OrderedFrame["type"]>)(connection, frame, first);
}

async function message(connection: Connection, frame: MessageFrame): Promise<void> {
  const { host, owner, record } = connection;
  host.rates?.takeMessage(owner);
  if (host.buffers.relieve()) {
    const text = "Too much output is waiting for slow clients; try again in a few seconds.";
    throw new ServiceError("overloaded", text, { retryAfterMs: FULL_RETRY_MS, limit: "buffered_bytes" });
  }
  const handle = await host.chat.submit(submissionOf(frame, owner, record.ownConversation));
  connection.watch(handle, {
    streamed: frame.stream ?? connection.streaming,
    from: 0,
    reasoningFrom: frame.reasoning === true ? 0 : null,
  });
}

function cancel({ host, owner, record }: Connection, frame: CancelFrame): void {
  const { answer, id, conversation } = frame;
  const name =
    answer !== undefined
      ? { answer }
      : { id: id as string, conversation: conversation ?? record.ownConversation };
  if (host.chat.cancel(owner.client, name)) return;
  throw new ServiceError("unknown_answer", "You have no running answer with this name.");
}

async function resume(connection: Connection, frame: ResumeFrame, first: boolean): Promise<void> {
  if (!first) throw new ServiceError("resume_late", "resume must be the first frame after the welcome.");
  const { host } = connection;
  const { authenticated, client } = connection.owner;
  const hash = hashOf(frame.session);
  // The secret alone is not enough: a session of a subject may be resumed only with a token of that subject.
  const record = await host.sessions.attach(
    hash,
    (kept) => kept.authenticated === authenticated && (!authenticated || kept.client === client),
  );
  if (record === undefined) {
    throw new ServiceError(
      "resume_expired",
      "This session is unknown or has expired; the connection continues with a new one.",
    );
  }
  if (connection.ended) {
    host.sessions.detach(hash);
    return;
  }
  if (!connection.adopt(hash, record)) {
    host.sessions.detach(hash);
    connection.close("overloaded", retryAfterReason(FULL_RETRY_MS));
    return;
  }
  const dropped = await host.chat.contextWasDropped(record.client);
  connection.reply({
    type: "system",
    event: "resumed",
    message: dropped
      ? "Welcome back: your conversation is restored."
      : "Welcome back: your conversation and context are restored.",
    session: frame.session,
    client: record.publicId,
  });
  if (dropped) connection.reply({ type: "system", event: "context_dropped", message: CONTEXT_DROPPED });
  for (const resumed of frame.answers ?? []) {
    await continueAnswer(connection, resumed, frame.reasoning === true);
  }
}

/** Continues an answer from the offsets that an earlier socket of the client has reached. */
async function continueAnswer(
  connection: Connection,
  { answer, from, reasoning_from: reasoningFrom = 0 }: ResumedAnswer,
  reasons: boolean,
): Promise<void> {
  const handle = await connection.host.chat.watch(connection.owner.client, answer);
  if (handle === undefined) {
    const error = new ServiceError("resume_expired", "This answer is unknown or no longer stored.");
    connection.refuse(error, { answer });
    return;
  }
  const { id } = handle.reader.meta;
  const { length, reasoning } = handle.reader;
  const lost =
    from > length
      ? `The text of this answer ends at offset ${length}; \`from\` was ${from}.`
      : reasons && reasoningFrom > reasoning.length
        ? `The reasoning of this answer ends at offset ${reasoning.length}; \`reasoning_from\` was ${reasoningFrom}.`
        : null;
  if (lost !== null) {
    connection.refuse(new ServiceError("generation_lost", lost), { id, answer });
    return;
  }
  connection.watch(handle, {
    streamed: connection.streaming,
    from,
    reasoningFrom: reasons ? reasoningFrom : null,
  });
}

function history(connection: Connection, frame: HistoryFrame): void {
  const { conversation = connection.record.ownConversation, limit = DEFAULT_HISTORY_TURNS } = frame;
  connection.showHistory(conversation, limit);
}

function refresh(connection: Connection, { token }: AuthRefreshFrame): void {
  const { host, owner } = connection;
  if (!owner.authenticated) {
    throw new ServiceError(
      "token_refused",
      "This connection is anonymous and has no token to refresh; connect to /ws/chat/auth with one.",
    );
  }
  const verified = verify(host, token);
  if (verified.subject !== owner.publicId) {
    throw new ServiceError("token_refused", "The token belongs to another subject than this connection.");
  }
  connection.renew(verified);
  connection.reply({
    type: "system",
    event: "auth_refreshed",
    message: "The new token is active.",
    expires_at: verified.expiresAt,
  });
}

function verify({ tokenVerifier }: SessionHost, token: string): VerifiedToken {
  try {
    return tokenVerifier.verify(token);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new ServiceError(
      "token_refused",
      `The token was refused: ${error.message}. The previous token stays active.`,
    );
  }
}

/** Converts a message frame into a submission to the chat layer. */
function submissionOf(frame: MessageFrame, owner: Principal, ownConversation: string): Submission {
  const { message, id, conversation = ownConversation, max_tokens: maxTokens, temperature, seed } = frame;
  return {
    owner,
    conversation,
    message,
    // Without `stream`: one answer may be read by streaming and other sockets at the same time.
    hash: id === undefined ? "" : hashOf(JSON.stringify([message, maxTokens, temperature, seed])),
    sampling: { ...(temperature !== undefined && { temperature }), ...(seed !== undefined && { seed }) },
    ...(id !== undefined && { id }),
    ...(maxTokens !== undefined && { maxTokens }),
  };
}
