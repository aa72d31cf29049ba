import type { ErrorCode } from "./error-codes.ts";
import type { LimitName } from "./limits.ts";

/**
 * What the layers report. Names and buckets live in `observability/`; label values are bounded by the types here or
 * by the caller (provider names, close codes). Called on hot paths: an implementation must not allocate per call more
 * than its counter needs.
 */
export interface Metrics {
  connectionOpened(kind: "anonymous" | "authenticated"): void;
  connectionClosed(kind: "anonymous" | "authenticated", code: number): void;
  /** A socket or request turned away at the door, by reason. */
  connectionRefused(reason: "origin" | "host" | "token" | "anonymous" | "limit" | "draining"): void;
  /** `type` is a client frame type of the contract, or `invalid`. */
  frameReceived(type: string): void;
  /** `type` is a server frame type of the contract. */
  frameSent(type: string): void;
  errorSent(code: ErrorCode): void;
  /** A limit was met: each refusal, eviction or close counts. */
  limitHit(limit: LimitName): void;
  /** Requests of a provider by state; deltas of +1 and -1. */
  requestsWaiting(delta: 1 | -1): void;
  requestsRunning(delta: 1 | -1): void;
  firstToken(provider: string, seconds: number): void;
  interToken(provider: string, seconds: number): void;
  tokens(provider: string, kind: "prompt" | "completion" | "cached", count: number): void;
  /** `outcome` is a finish reason or `error`. */
  answerFinished(provider: string, outcome: string, seconds: number): void;
  engineRestarted(): void;
  /** An answer went on with another provider, or with the same one after its restart. */
  providerFellBack(from: string, to: string, phase: "before_first_token" | "mid_stream"): void;
  /** A provider was asked a second time for the same answer. */
  providerRetried(provider: string): void;
  breakerState(provider: string, state: "closed" | "open" | "half_open"): void;
  /** A call of a remote provider that the spend guard refused, by the limit that had no room. */
  spendRefused(limit: "total" | "client" | "address"): void;
  /** A gauge read at scrape time: the fill of a queue, cache or buffer. `name` without the `chat_` prefix. */
  gauge(name: string, help: string, read: () => number): void;
  /** A counter read at scrape time. It only grows, or starts again at 0; `name` ends in `_total`. */
  counter(name: string, help: string, read: () => number): void;
}

export const noMetrics: Metrics = {
  connectionOpened() {},
  connectionClosed() {},
  connectionRefused() {},
  frameReceived() {},
  frameSent() {},
  errorSent() {},
  limitHit() {},
  requestsWaiting() {},
  requestsRunning() {},
  firstToken() {},
  interToken() {},
  tokens() {},
  answerFinished() {},
  engineRestarted() {},
  providerFellBack() {},
  providerRetried() {},
  breakerState() {},
  spendRefused() {},
  gauge() {},
  counter() {},
};
