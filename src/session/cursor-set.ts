import type { Cursor } from "./cursor.ts";

/** The answers that one socket watches, in the order in which they may write next. Most sockets watch none or one. */
export class CursorSet {
  #cursors: readonly Cursor[] = [];

  get size(): number {
    return this.#cursors.length;
  }

  /** Whether a pump may send more than one frame. */
  get sendsSeveral(): boolean {
    return this.#cursors.length > 1 || this.#cursors[0]?.ends === true;
  }

  get(answer: string): Cursor | undefined {
    return this.#cursors.find(({ reader }) => reader.meta.answer === answer);
  }

  add(cursor: Cursor): void {
    this.#cursors = [...this.#cursors, cursor];
  }

  delete(cursor: Cursor): void {
    this.#cursors = this.#cursors.filter((it) => it !== cursor);
  }

  /** Lets each cursor write as long as the socket is writable. */
  pump(socket: { readonly writable: boolean }): void {
    for (const cursor of this.#cursors) {
      cursor.pump();
      if (socket.writable) continue;
      // Who filled the socket comes last the next time: on a slow one the others would never have their turn.
      if (this.#cursors.includes(cursor)) {
        this.delete(cursor);
        this.add(cursor);
      }
      return;
    }
  }

  /** The socket is gone. */
  leaveAll(): void {
    for (const cursor of this.#cursors) cursor.leave();
    this.#cursors = [];
  }
}
