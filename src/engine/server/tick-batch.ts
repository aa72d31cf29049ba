import type { ErrorReport } from "../../core/errors.ts";
import type {
  DeltaNote,
  FailedNote,
  FinishedNote,
  ProgressNote,
  QueuedNote,
  StartedNote,
  TickMessage,
  WireUsage,
} from "../../engine-wire/requests.ts";

interface Fields {
  queued?: QueuedNote[];
  started?: StartedNote[];
  progress?: ProgressNote[];
  reasoning?: DeltaNote[];
  deltas?: DeltaNote[];
  finished?: FinishedNote[];
  failed?: FailedNote[];
}

/** Collects the events of one connection's requests until the end of the step. */
export class TickBatch {
  #fields: Fields = {};
  #used = false;

  queued(id: number, position: number, etaMs: number | undefined): void {
    this.#used = true;
    (this.#fields.queued ??= []).push(etaMs === undefined ? [id, position] : [id, position, etaMs]);
  }

  started(id: number, promptTokens: number, cachedTokens: number, droppedTurns: number): void {
    this.#used = true;
    (this.#fields.started ??= []).push([id, promptTokens, cachedTokens, droppedTurns]);
  }

  progress(id: number, processed: number, total: number): void {
    this.#used = true;
    (this.#fields.progress ??= []).push([id, processed, total]);
  }

  reasoning(id: number, text: string, tokens: number): void {
    this.#used = true;
    (this.#fields.reasoning ??= []).push([id, text, tokens]);
  }

  delta(id: number, text: string, tokens: number): void {
    this.#used = true;
    (this.#fields.deltas ??= []).push([id, text, tokens]);
  }

  finished(id: number, reason: "stop" | "length", usage: WireUsage): void {
    this.#used = true;
    (this.#fields.finished ??= []).push([id, reason, usage]);
  }

  failed(id: number, report: ErrorReport): void {
    this.#used = true;
    (this.#fields.failed ??= []).push([id, report]);
  }

  /** Returns the collected events and empties the batch. @returns undefined when there were none. */
  take(): TickMessage | undefined {
    if (!this.#used) return undefined;
    const message: TickMessage = { type: "tick", ...this.#fields };
    this.#fields = {};
    this.#used = false;
    return message;
  }
}
