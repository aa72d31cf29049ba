const ENDS_IN_HIGH_SURROGATE = /[\ud800-\udbff]$/;
const LONE_SURROGATE = /\p{Surrogate}/gu;

/**
 * Joins surrogate pairs that a server split over two chunks. Unpaired surrogates become U+FFFD, as in UTF-8 decoding.
 */
export class SurrogateJoiner {
  #half = "";

  push(piece: string): string {
    const all = this.#half + piece;
    this.#half = ENDS_IN_HIGH_SURROGATE.exec(all)?.[0] ?? "";
    const whole = this.#half ? all.slice(0, -1) : all;
    return whole.replace(LONE_SURROGATE, "\ufffd");
  }

  flush(): string {
    const half = this.#half;
    this.#half = "";
    return half ? "\ufffd" : "";
  }
}
