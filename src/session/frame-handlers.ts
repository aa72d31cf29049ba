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
} from "../protocol/client-frames.ts";
import { retryAfterReason, type CloseReason } from "../protocol/close-codes.ts";
import type { ServerFrame } from "../protocol/server-frames.ts";
import type { SessionHost } from "./session-host.ts";

/** What a frame may do with the connection it came on. */
export interface Connection {
  readonly host: SessionHost;
  readonly owner: Principal;
  readonly record: SessionRecord;
  /** Whether the socket asked for the extended frames. */
  readonly streaming: boolean;
  /** Nothing can be sent any more. */
  readonly ended: boolean;
  /** Sends a frame outside any answer, or keeps it until the socket takes it. */
  reply(frame: ServerFrame): void;
  /** Answers with an error. */
  refuse(error: unknown, names: { readonly id?: string; readonly answer?: string }): void;
  /** Shows an answer on this socket, from an offset on; one that it shows already stays as it is. */
  watch(ticket: AnswerHandle, streamed: boolean, from: number): void;
  /** Sends turns and running answers of a conversation as soon as the socket is empty. @throws ServiceError `busy`. */
  showHistory(conversation: string, limit: number): void;
  /**
   * Leaves the connection's own session for an earlier one, to which it is attached already. False, and nothing changed,
   * when that session's client has as many sockets as it may.
   */
  adopt(hash: string, record: SessionRecord): boolean;
  /** From now on a later token of the same subject counts. */
  renew(token: VerifiedToken): void;
  close(reason: CloseReason, text: string): void;
}

type FrameOf<T extends ClientFrame["type"]> = Extract<ClientFrame, { type: T }>;

/** `first`: no frame came before it on this connection. What it throws is sent as an `error` frame. */
type Handler<T extends ClientFrame["type"]> = (
  connection: Connection,
  frame: FrameOf<T>,
  first: boolean,
) => void | Promise<void>;

/** Frames that are handled one after the other, in order of arrival. `ping` and `ack` are not among them: they overtake. */
export type OrderedFrame = Exclude<ClientFrame, { type: "ping" | "ack" }>;

const handlers: { readonly [T in OrderedFrame["type"]]: Handler<T> } = {
  message,
  cancel,
  resume,
  history,
  "auth.refresh": refresh,
};

/** Until another socket leaves, or slow readers have caught up: a guess. */
const FULL_RETRY_MS = 5000;

/** Does what the frame asks for. @throws ServiceError for the client to see. */
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
  if (host.buffers.isNearlyFull) {
    const text = "Too much waits for slow readers; try again soon.";
    throw new ServiceError("overloaded", text, { retryAfterMs: FULL_RETRY_MS, limit: "buffered_bytes" });
  }
  const ticket = await host.chat.submit(submissionOf(frame, owner, record.ownConversation));
  connection.watch(ticket, frame.stream ?? connection.streaming, 0);
}

function cancel({ host, owner, record }: Connection, frame: CancelFrame): void {
  const { answer, id, conversation } = frame;
  const name =
    answer !== undefined
      ? { answer }
      : { id: id as string, conversation: conversation ?? record.ownConversation };
  if (host.chat.cancel(owner.client, name)) return;
  throw new ServiceError("unknown_answer", "No answer of yours by that name is running.");
}

async function resume(connection: Connection, frame: ResumeFrame, first: boolean): Promise<void> {
  if (!first) throw new ServiceError("resume_late", "resume must be the first frame after the welcome.");
  const { host } = connection;
  const { authenticated, client } = connection.owner;
  const hash = hashOf(frame.session);
  // Knowing the secret is not enough: a session of a subject belongs to that subject's sockets.
  const record = await host.sessions.attach(
    hash,
    (kept) => kept.authenticated === authenticated && (!authenticated || kept.client === client),
  );
  if (record === undefined) {
    throw new ServiceError(
      "resume_expired",
      "That session is unknown or expired; this connection has a new one.",
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
  connection.reply({
    type: "system",
    event: "resumed",
    message: "Welcome back: your conversation and context are here.",
    session: frame.session,
    client: record.publicId,
  });
  for (const { answer, from } of frame.answers ?? []) await goOn(connection, answer, from);
}

/** Goes on with an answer where an earlier socket of the client was cut off. */
async function goOn(connection: Connection, answer: string, from: number): Promise<void> {
  const ticket = await connection.host.chat.watch(connection.owner.client, answer);
  if (ticket === undefined) {
    const error = new ServiceError("resume_expired", "No answer of yours by that name is kept.");
    connection.refuse(error, { answer });
    return;
  }
  const { id } = ticket.reader.meta;
  const { length } = ticket.reader;
  if (from > length) {
    const message = `The text of this answer ends at offset ${length}; \`from\` was ${from}.`;
    connection.refuse(new ServiceError("generation_lost", message), { id, answer });
    return;
  }
  connection.watch(ticket, connection.streaming, from);
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
    throw new ServiceError("token_refused", "The token names another subject than this connection's.");
  }
  connection.renew(verified);
  connection.reply({
    type: "system",
    event: "auth_refreshed",
    message: "The new token is in force.",
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
      `The token was refused: ${error.message}. The one before goes on.`,
    );
  }
}

/** Converts a message frame into a request to the chat layer. */
function submissionOf(frame: MessageFrame, owner: Principal, ownConversation: string): Submission {
  const { message, id, conversation = ownConversation, max_tokens: maxTokens, temperature, seed } = frame;
  return {
    owner,
    conversation,
    message,
    // `stream` is a property of the socket: one message may be watched both ways, so the hash leaves it out.
    hash: id === undefined ? "" : hashOf(JSON.stringify([message, maxTokens, temperature, seed])),
    sampling: { ...(temperature !== undefined && { temperature }), ...(seed !== undefined && { seed }) },
    ...(id !== undefined && { id }),
    ...(maxTokens !== undefined && { maxTokens }),
  };
}
