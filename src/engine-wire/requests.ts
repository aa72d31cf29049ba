import type { ErrorReport } from "../core/errors.ts";
import type { Turn } from "../core/fit-prompt.ts";
import type { Sampling } from "../core/sampling.ts";
import type { EngineInfo, EngineStats } from "./engine-status.ts";

/**
 * What crosses the Unix socket between gateways and the engine: one JSON line a message. Each connection has its own
 * ids. One `tick` carries the new text of every request of a connection, so the channel costs next to nothing.
 */

/** A `ChatRequest` as the engine needs it. */
export interface EngineRequest {
  readonly system: string;
  readonly context: string | null;
  readonly turns: readonly Turn[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly jsonSchema?: Readonly<Record<string, unknown>>;
  /** Owner of the data: KV of one client is never reused for another, save for the system text. */
  readonly client: string;
  /** Who is charged. */
  readonly accountKey: string;
  /** Its share against others of weight 1; bounded to 0.01..100. Default 1. */
  readonly weight?: number;
  readonly conversation: string;
  readonly continueFrom?: string;
}

/** A client's context that has been set: its beginning of all prompts is processed before the client asks. */
export type PrepareRequest = Pick<EngineRequest, "system" | "context" | "client" | "accountKey" | "weight">;

/** Whose KV is to go: all of a client's, or that of one conversation. */
export interface ForgetRequest {
  readonly client: string;
  readonly conversation?: string;
}

export interface WireUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** What happens to a request, in this order; `finished` or `failed` comes last and once. */
export interface RequestEvents<Failure = unknown> {
  queued(position: number, etaMs: number | undefined): void;
  started(promptTokens: number, cachedTokens: number, droppedTurns: number): void;
  progress(processed: number, total: number): void;
  delta(text: string, tokens: number): void;
  finished(reason: "stop" | "length", usage: WireUsage): void;
  failed(error: Failure): void;
}

export type GatewayMessage =
  | { readonly type: "start"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "cancel"; readonly id: number }
  /** Without a reply: it may be dropped. */
  | { readonly type: "prepare"; readonly request: PrepareRequest }
  /** Without a reply: an engine that is not there holds nothing. */
  | { readonly type: "forget"; readonly request: ForgetRequest }
  | { readonly type: "count"; readonly id: number; readonly text: string };

/** All that happened to a connection's requests in one step. For one id the order is the order of the fields. */
export interface TickMessage {
  readonly type: "tick";
  readonly queued?: readonly QueuedNote[];
  readonly started?: readonly StartedNote[];
  readonly progress?: readonly ProgressNote[];
  readonly deltas?: readonly DeltaNote[];
  readonly finished?: readonly FinishedNote[];
  readonly failed?: readonly FailedNote[];
}

/** id, position (1 = next), estimated milliseconds until it starts (absent where unknown). */
export type QueuedNote = readonly [id: number, position: number, etaMs?: number];
/** id, prompt tokens, cached tokens, dropped turns. */
export type StartedNote = readonly [
  id: number,
  promptTokens: number,
  cachedTokens: number,
  droppedTurns: number,
];
export type ProgressNote = readonly [id: number, processed: number, total: number];
/** id, whole characters, tokens they took. */
export type DeltaNote = readonly [id: number, text: string, tokens: number];
export type FinishedNote = readonly [id: number, reason: "stop" | "length", usage: WireUsage];
export type FailedNote = readonly [id: number, report: ErrorReport];

export type EngineMessage =
  | { readonly type: "ready"; readonly info: EngineInfo }
  | TickMessage
  | { readonly type: "counted"; readonly id: number; readonly tokens: number }
  | { readonly type: "stats"; readonly stats: EngineStats };
