import type { Finish, StreamOptions, StreamPart } from "./provider.ts";

/**
 * An answer delivered by events of a provider that processes many answers at once. It ends exactly once: complete,
 * failed, or aborted. Later events are dropped. An error thrown by its reader ends this answer only.
 */
export class OpenAnswer {
  /** Settles at the end of the answer. */
  readonly whole: Promise<Finish>;
  readonly #options: StreamOptions<StreamPart>;
  readonly #onAbort = (): void => this.fail(this.#options.signal.reason);
  #resolve!: (finish: Finish) => void;
  #reject!: (error: unknown) => void;
  #ended = false;

  /** @throws the signal's reason if it is aborted already */
  constructor(options: StreamOptions<StreamPart>) {
    options.signal.throwIfAborted();
    this.#options = options;
    this.whole = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    options.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get ended(): boolean {
    return this.#ended;
  }

  part(part: StreamPart): void {
    if (this.#ended) return;
    try {
      this.#options.onPart(part);
    } catch (error) {
      this.fail(error);
    }
  }

  finish(finish: Finish): void {
    if (this.#end()) this.#resolve(finish);
  }

  fail(error: unknown): void {
    if (this.#end()) this.#reject(error);
  }

  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
