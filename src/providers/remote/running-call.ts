import type { ProviderError } from "../provider-error.ts";
import type { StopSignal } from "../../core/stop-signal.ts";

/** One call to the server: its connection, and the reason if it was stopped from this side. */
export class RunningCall {
  readonly #controller = new AbortController();
  readonly #caller: StopSignal;
  readonly #onAbort = () => this.#controller.abort();
  #closing: ProviderError | undefined;

  constructor(caller: StopSignal) {
    this.#caller = caller;
    if (caller.aborted) this.#controller.abort();
    caller.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the connection. No effect if it has ended. */
  end(): void {
    this.#caller.removeEventListener("abort", this.#onAbort);
    this.#controller.abort();
  }

  /** Ends the connection because the provider shuts down. */
  close(reason: ProviderError): void {
    this.#closing ??= reason;
    this.end();
  }

  /** @throws the reason of the caller's signal, or the one given to `close` */
  throwIfStopped(): void {
    this.#caller.throwIfAborted();
    if (this.#closing) throw this.#closing;
  }
}
