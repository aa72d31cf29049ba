import type { LongWorkScope } from "../ports.ts";

/** Work that may rightly take long, so that whoever watches the engine does not take it for a hang. */
export class LongWork implements LongWorkScope {
  readonly #changed: (active: boolean) => void;
  #count = 0;

  /** `changed` is called before the first work begins and after the last one has ended. */
  constructor(changed: (active: boolean) => void) {
    this.#changed = changed;
  }

  get active(): boolean {
    return this.#count > 0;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count++ === 0) this.#changed(true);
    try {
      return await work();
    } finally {
      if (--this.#count === 0) this.#changed(false);
    }
  }
}
