import { setTimeout as pause } from "node:timers/promises";
import type { ChatService } from "../chat/chat-service.ts";
import type { Clock } from "../core/clock.ts";
import type { SessionRegistry } from "../session/session-registry.ts";
import type { UwsTransport } from "../transport/uws/uws-transport.ts";

/** Time for stopped answers to end and for their ends to be sent, in milliseconds. */
const STOP_GRACE_MS = 500;

/** Time for clients to read and answer close frames, in milliseconds. A connection cut before that can lose its last bytes. */
const CLOSE_GRACE_MS = 250;

/** The same where bytes wait before a close frame. */
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
 * Stops the server without losing an answer: takes no new work, lets running answers finish until the deadline, stops
 * the others, closes every socket with 1012, and closes the transport.
 */
export async function drain({ transport, chat, sessions, clock, deadlineMs }: DrainOptions): Promise<void> {
  const settled = (ms: number): Promise<void> =>
    within(Promise.all([chat.whenIdle(), sessions.whenEmpty()]), ms, clock);
  transport.stopListening();
  chat.stopAccepting();
  sessions.drain(deadlineMs);
  await settled(deadlineMs);
  // A client whose answer is stopped gets its text so far, its end, and then the close.
  chat.stopAll();
  await settled(STOP_GRACE_MS);
  sessions.closeAll();
  // A timer of the clock would not keep the process alive for this long.
  await pause(transport.endedWithBytes ? SLOW_READER_GRACE_MS : CLOSE_GRACE_MS);
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
