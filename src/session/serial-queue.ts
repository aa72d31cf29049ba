/** Runs tasks one at a time, in order. A task that is added to an empty queue starts at once. */
export class SerialQueue {
  readonly #limit: number;
  #last: Promise<void> | null = null;
  #size = 0;

  /** `limit`: maximum number of tasks, including the running one. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Number of running and waiting tasks. */
  get size(): number {
    return this.#size;
  }

  /** Adds a task, which must not reject; `settled` is called after it ends. Returns false if the queue is full. */
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
