/** Runs tasks one after the other, in order; one that finds nothing before it begins at once. */
export class SerialQueue {
  readonly #limit: number;
  #last: Promise<void> | null = null;
  #size = 0;

  /** `limit`: tasks that may be there, the running one included. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Tasks that run or wait. */
  get size(): number {
    return this.#size;
  }

  /** Takes a task, which must not reject; `settled` is called after its end. False when the sequence is full. */
  add(task: () => Promise<void>, settled: () => void): boolean {
    if (this.#size >= this.#limit) return false;
    this.#size++;
    const work = this.#last === null ? task() : this.#last.then(task);
    this.#last = work;
    void work.finally(() => {
      this.#size--;
      if (this.#last === work) this.#last = null;
      settled();
    });
    return true;
  }
}
