import type { EventLoop } from "../../core/event-loop.ts";
import type { LoopWatch } from "../../core/loop-watch.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { Principal } from "../../core/principal.ts";
import { FairTurns } from "../../core/queues/fair-turns.ts";
import { WaitingWeights } from "../../core/queues/waiting-weights.ts";
import { retryAfterReason, type CloseReason } from "../../protocol/close-codes.ts";

/**
 * Cost of the frames that are handled in one turn of the event loop: one for each byte and {@link FRAME_COST} for each
 * frame. About 4 ms of work on a core of 2020.
 */
const TURN_COST = 131_072;

/** Part of {@link TURN_COST} for frames that wait already; the rest is for those that arrive next. */
const WAITING_COST = TURN_COST / 2;

/** What the shortest frame costs, in bytes. */
const FRAME_COST = 1024;

/**
 * Size of a large frame, in bytes. A smaller one is decoded at once, and waits only if it starts work. Only large ones
 * are timed: for a small one, reading the clock costs as much as its decoding.
 */
export const MIN_LARGE_BYTES = 4096;

/** Unit in which the memory of waiting frames is counted, in bytes. The shortest frame takes one. */
const UNIT_BYTES = 1024;

/** Milliseconds until the memory for waiting frames is free again; an estimate. */
const RETRY_MS = 5000;

/** A socket, as the source of frames. */
export interface FrameSource {
  readonly owner: Principal;
  /** Frames that wait, oldest first; null if none does. Written by {@link FrameTurns} alone. */
  waiting: WaitingFrame[] | null;
  /** Closes the socket, which calls {@link FrameTurns.drop}. */
  close(reason: CloseReason, text: string): void;
}

/** A frame that waits for a later turn of the event loop. */
export interface WaitingFrame {
  readonly source: FrameSource;
  readonly accountKey: string;
  readonly authenticated: boolean;
  readonly cost: number;
  /** Handles the frame; null once it is dropped. */
  work: (() => void) | null;
}

export interface FrameTurnsOptions {
  readonly loop: Pick<EventLoop, "atEndOfTurn">;
  readonly watch: LoopWatch;
  readonly metrics: Metrics;
  /** Maximum number of waiting frames of one socket. */
  readonly maxPerSocket: number;
  /** Maximum bytes of all waiting frames. */
  readonly maxBytes: number;
}

/**
 * Spreads the handling of frames over turns of the event loop, so that the tokens of all clients are sent in between. A
 * frame is handled at once while the turn has room for it. Otherwise it waits, and is handled in an order that is fair by
 * account. The library cannot stop reading from a socket, so what waits is bounded: when its memory is used up, the
 * principal that holds most of it loses the socket with its newest frame.
 */
export class FrameTurns {
  readonly #options: FrameTurnsOptions;
  readonly #maxUnits: number;
  readonly #turns = new FairTurns<WaitingFrame>();
  readonly #memory = new WaitingWeights<WaitingFrame>();
  #units = 0;
  /** Cost that the current turn has room for; {@link TURN_COST} until its first frame. */
  #left = TURN_COST;

  constructor(options: FrameTurnsOptions) {
    this.#options = options;
    this.#maxUnits = Math.floor(options.maxBytes / UNIT_BYTES);
    options.metrics.gauge(
      "waiting_frames",
      "Frames that wait for a later turn of the event loop",
      () => this.#memory.size,
    );
    options.metrics.gauge(
      "waiting_frame_bytes",
      "Memory for frames that wait for a later turn of the event loop, in multiples of 1024 bytes",
      () => this.#units * UNIT_BYTES,
    );
  }

  /**
   * Calls `work`, which handles a frame of that many bytes, now or in a later turn. Calls of a socket keep their
   * order.
   */
  run(source: FrameSource, bytes: number, work: () => void): void {
    const cost = FRAME_COST + bytes;
    if (this.#left > 0 && source.waiting === null) this.#handle(cost, work);
    else this.#wait(source, cost, work);
  }

  /** Drops the waiting frames of a socket that is closed or closing. */
  drop(source: FrameSource): void {
    if (source.waiting === null) return;
    for (const frame of source.waiting) {
      frame.work = null;
      this.#release(frame);
    }
    source.waiting = null;
  }

  #wait(source: FrameSource, cost: number, work: () => void): void {
    source.waiting ??= [];
    if (source.waiting.length >= this.#options.maxPerSocket) {
      this.#close(source, "policy", "frames arrive faster than they can be handled");
      return;
    }
    const { accountKey, authenticated } = source.owner;
    const frame: WaitingFrame = { source, accountKey, authenticated, cost, work };
    source.waiting.push(frame);
    this.#turns.add(frame);
    this.#memory.add(frame, unitsOf(frame));
    this.#units += unitsOf(frame);
    while (this.#units > this.#maxUnits) {
      const loser = this.#memory.yieldTo(frame);
      this.#units -= unitsOf(loser);
      this.#close(loser.source, "overloaded", retryAfterReason(RETRY_MS));
    }
  }

  #close(source: FrameSource, reason: CloseReason, text: string): void {
    this.#options.metrics.limitHit("waiting_frames");
    source.close(reason, text);
  }

  /** Begins a turn: handles frames that wait, and leaves room for those that arrive. */
  readonly #nextTurn = (): void => {
    this.#left = TURN_COST;
    while (this.#turns.size > 0 && this.#left > TURN_COST - WAITING_COST) {
      const frame = this.#turns.take() as WaitingFrame;
      const { source, work, cost } = frame;
      if (work === null) continue;
      source.waiting?.shift();
      if (source.waiting?.length === 0) source.waiting = null;
      this.#release(frame);
      this.#handle(cost, work);
    }
  };

  #release(frame: WaitingFrame): void {
    if (this.#memory.remove(frame)) this.#units -= unitsOf(frame);
  }

  #handle(cost: number, work: () => void): void {
    if (this.#left === TURN_COST) this.#options.loop.atEndOfTurn(this.#nextTurn);
    this.#left -= cost;
    if (cost < FRAME_COST + MIN_LARGE_BYTES) {
      work();
      return;
    }
    this.#options.watch.begin("frame");
    work();
    this.#options.watch.end();
  }
}

function unitsOf({ cost }: WaitingFrame): number {
  return Math.ceil(cost / UNIT_BYTES);
}
