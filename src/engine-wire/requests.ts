import type { ErrorReport } from "../core/errors.ts";
import type { Turn } from "../core/fit-prompt.ts";
import type { Sampling } from "../core/sampling.ts";
import type { EngineInfo, EngineStats } from "./engine-status.ts";

/**
 * Messages on the Unix socket between gateways and the engine, one JSON line each. Each connection has its own ids. One
 * `tick` holds the new text of every request of a connection, so the channel costs almost nothing.
 */

/** The parts of a `ChatRequest` that the engine needs. */
export interface EngineRequest {
  readonly system: string;
  readonly context: string | null;
  readonly turns: readonly Turn[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly jsonSchema?: Readonly<Record<string, unknown>>;
  /** Owner of the data. KV of one client is never reused for another, except for the system text. */
  readonly client: string;
  /** Key of the account that is charged. */
  readonly accountKey: string;
  readonly authenticated: boolean;
  /** Share relative to requests of weight 1, bounded to 0.01..100. Default 1. */
  readonly weight?: number;
  readonly conversation: string;
  /** Text that the answer begins with. */
  readonly continueFrom?: string;
}

/** The owner of the data, and the account that is charged for the work. */
export type WorkOwner = Pick<EngineRequest, "client" | "accountKey" | "authenticated" | "weight">;

/** Sent when a client sets its context. The engine can then process the common prefix of its prompts in advance. */
export type PrepareRequest = Pick<EngineRequest, "system" | "context"> & WorkOwner;

/** Asks for the number of tokens of a text. A text that does not fit the window is not counted to its end. */
export interface CountRequest extends WorkOwner {
  readonly text: string;
}

/** Deletes the KV of a client, or of one of its conversations. */
export interface ForgetRequest {
  readonly client: string;
  readonly conversation?: string;
}

/** Token counts of a finished request. */
export interface WireUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that were reused instead of processed. */
  readonly cachedTokens: number;
  /** Completion tokens that were reasoning; absent if there were none. */
  readonly reasoningTokens?: number;
}

/**
 * Events of a request, in this order. After a preemption, `queued` and `progress` can occur again; `started` occurs at
 * most once. `finished` or `failed` is the last event and occurs once.
 */
export interface RequestEvents<Failure = unknown> {
  queued(position: number, etaMs: number | undefined): void;
  started(promptTokens: number, cachedTokens: number, droppedTurns: number): void;
  progress(processed: number, total: number): void;
  /** Reasoning before the answer, which is not part of it. */
  reasoning(text: string, tokens: number): void;
  delta(text: string, tokens: number): void;
  finished(reason: "stop" | "length", usage: WireUsage): void;
  failed(error: Failure): void;
}

/** gateway → engine */
export type GatewayMessage =
  | { readonly type: "start"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "cancel"; readonly id: number }
  /** Without a reply; the engine may drop it. */
  | { readonly type: "prepare"; readonly request: PrepareRequest }
  /** Without a reply: an engine that is down holds no KV to delete. */
  | { readonly type: "forget"; readonly request: ForgetRequest }
  | { readonly type: "count"; readonly id: number; readonly request: CountRequest };

/** Events of a connection's requests in one step. Events of one id apply in the order of the fields. */
export interface TickMessage {
  readonly type: "tick";
  readonly queued?: readonly QueuedNote[];
  readonly started?: readonly StartedNote[];
  readonly progress?: readonly ProgressNote[];
  readonly reasoning?: readonly DeltaNote[];
  readonly deltas?: readonly DeltaNote[];
  readonly finished?: readonly FinishedNote[];
  readonly failed?: readonly FailedNote[];
}

/** id, position (1 = next), estimated milliseconds until the start (absent when unknown). */
export type QueuedNote = readonly [id: number, position: number, etaMs?: number];
/** id, prompt tokens, cached tokens, dropped turns. */
export type StartedNote = readonly [
  id: number,
  promptTokens: number,
  cachedTokens: number,
  droppedTurns: number,
];
export type ProgressNote = readonly [id: number, processed: number, total: number];
/** id, text of whole characters, number of its tokens. */
export type DeltaNote = readonly [id: number, text: string, tokens: number];
export type FinishedNote = readonly [id: number, reason: "stop" | "length", usage: WireUsage];
export type FailedNote = readonly [id: number, report: ErrorReport];

/** engine → gateway */
export type EngineMessage =
  | { readonly type: "ready"; readonly info: EngineInfo }
  | TickMessage
  /** `tokens` above the window is a lower bound. */
  | { readonly type: "counted"; readonly id: number; readonly tokens: number }
  | { readonly type: "uncounted"; readonly id: number; readonly report: ErrorReport }
  | { readonly type: "stats"; readonly stats: EngineStats };
