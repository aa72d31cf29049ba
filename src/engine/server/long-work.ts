import type { LongWorkScope } from "../ports.ts";

/** Counts running work that may take long, so that the watchdog does not treat it as a hang. */
export class LongWork implements LongWorkScope {
  readonly #onChange: (active: boolean) => void;
  #count = 0;

  /** @param onChange called before the first piece of work begins and after the last one has ended */
  constructor(onChange: (active: boolean) => void) {
    this.#onChange = onChange;
  }

  get active(): boolean {
    return this.#count > 0;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count++ === 0) this.#onChange(true);
    try {
      return await work();
    } finally {
      if (--this.#count === 0) this.#onChange(false);
    }
  }
}
