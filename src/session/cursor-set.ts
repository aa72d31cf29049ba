import type { Cursor } from "./cursor.ts";

/** The answers that one socket watches, in the order in which they may write next. Most sockets watch none. */
export class CursorSet {
  #cursors: Map<string, Cursor> | null = null;

  get size(): number {
    return this.#cursors?.size ?? 0;
  }

  get(answer: string): Cursor | undefined {
    return this.#cursors?.get(answer);
  }

  add(cursor: Cursor): void {
    this.#cursors ??= new Map();
    this.#cursors.set(cursor.reader.meta.answer, cursor);
  }

  delete(cursor: Cursor): void {
    this.#cursors?.delete(cursor.reader.meta.answer);
    if (this.#cursors?.size === 0) this.#cursors = null;
  }

  /** Lets each cursor write as long as the socket is `writable`. */
  pump(writable: () => boolean): void {
    const cursors = this.#cursors;
    if (cursors === null) return;
    for (const [answer, cursor] of cursors) {
      cursor.pump();
      if (writable()) continue;
      // Who filled the socket comes last the next time: on a slow one the others would never have their turn.
      if (cursors.size > 1 && cursors.delete(answer)) cursors.set(answer, cursor);
      return;
    }
  }

  /** The socket is gone. */
  leaveAll(): void {
    if (this.#cursors === null) return;
    for (const cursor of this.#cursors.values()) cursor.leave();
    this.#cursors = null;
  }
}
