import { setTimeout as delay } from "node:timers/promises";
import type { ChatService } from "../chat/chat-service.ts";
import type { Clock } from "../core/clock.ts";
import type { SessionRegistry } from "../session/session-registry.ts";
import type { UwsTransport } from "../transport/uws/uws-transport.ts";

/** Time for stopped answers to end and for their last frames to be sent, in milliseconds. */
const STOP_GRACE_MS = 500;

/**
 * Time for clients to read and answer close frames, in milliseconds. A connection that is cut earlier can lose its last
 * bytes.
 */
const CLOSE_GRACE_MS = 250;

/** Like {@link CLOSE_GRACE_MS}, for when bytes are still buffered ahead of a close frame. In milliseconds. */
const SLOW_READER_GRACE_MS = 3000;

export interface DrainOptions {
  readonly transport: UwsTransport;
  readonly chat: ChatService;
  readonly sessions: SessionRegistry;
  readonly clock: Clock;
  /** Time for running answers to finish, in milliseconds. */
  readonly deadlineMs: number;
}

/**
 * Shuts the server down gracefully: accepts no new work, lets running answers finish until the deadline,
 * stops the rest, closes every socket with 1012, and closes the transport.
 */
export async function drain({ transport, chat, sessions, clock, deadlineMs }: DrainOptions): Promise<void> {
  const settled = (ms: number): Promise<void> =>
    within(Promise.all([chat.whenIdle(), sessions.whenEmpty()]), ms, clock);
  transport.stopListening();
  chat.stopAccepting();
  sessions.drain(deadlineMs);
  await settled(deadlineMs);
  // A client of a stopped answer receives the text so far, the end of the answer, and then the close frame.
  chat.stopAll();
  await settled(STOP_GRACE_MS);
  sessions.closeAll();
  // Timers of the clock are unreferenced and would not keep the process running for this long.
  await delay(transport.endedWithBytes ? SLOW_READER_GRACE_MS : CLOSE_GRACE_MS);
  transport.close();
}

/** Waits for `work`, but at most `ms` milliseconds. */
async function within(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  let stop = (): void => {};
  const deadline = new Promise<void>((resolve) => {
    stop = clock.after(ms, resolve);
  });
  await Promise.race([work, deadline]);
  stop();
}
