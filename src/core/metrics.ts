import type { ErrorCode } from "./error-codes.ts";
import type { LimitName } from "./limits.ts";

/**
 * The metrics interface of all layers. Names and buckets are defined in `observability/`. Label values are bounded by
 * the types here or by the caller (provider names, close codes). Implementations are called on hot paths and must not
 * allocate more per call than their counter needs.
 */
export interface Metrics {
  connectionOpened(kind: "anonymous" | "authenticated"): void;
  connectionClosed(kind: "anonymous" | "authenticated", code: number): void;
  /** A socket or request was refused before a session was created. */
  connectionRefused(
    reason: "origin" | "host" | "token" | "anonymous" | "limit" | "draining" | "headers" | "query",
  ): void;
  /** `type` is a client frame type of the protocol, or `invalid`. */
  frameReceived(type: string): void;
  /** `type` is a server frame type of the protocol. */
  frameSent(type: string): void;
  errorSent(code: ErrorCode): void;
  /** A limit was reached. Every refusal, eviction or close counts. */
  limitHit(limit: LimitName): void;
  /** Changes the number of requests that wait for a provider. */
  requestsWaiting(delta: 1 | -1): void;
  /** Changes the number of requests that a provider is answering. */
  requestsRunning(delta: 1 | -1): void;
  firstToken(provider: string, seconds: number): void;
  interToken(provider: string, seconds: number): void;
  tokens(provider: string, kind: "prompt" | "completion" | "cached" | "reasoning", count: number): void;
  /** `outcome` is a finish reason or `error`. */
  answerFinished(provider: string, outcome: string, seconds: number): void;
  engineRestarted(): void;
  /** An answer continued with another provider, or with the same one after its restart. */
  providerFellBack(from: string, to: string, phase: "before_first_token" | "mid_stream"): void;
  /** A request was sent to the same provider again. */
  providerRetried(provider: string): void;
  breakerState(provider: string, state: "closed" | "open" | "half_open"): void;
  /** The spend guard refused a call of a remote provider because of `limit`. */
  spendRefused(limit: "total" | "client" | "address"): void;
  /** Registers a gauge that is read at scrape time. `name` is given without the `chat_` prefix. */
  gauge(name: string, help: string, read: () => number): void;
  /** Registers a counter that is read at scrape time. It only grows, or restarts at 0. `name` ends in `_total`. */
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
