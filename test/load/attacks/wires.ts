import { connect, type Socket } from "node:net";

/** One thing that the generator did to a connection. `at`: milliseconds since the start of the attack. */
export type WireStep =
  | { readonly at: number; readonly op: "open"; readonly id: number; readonly address: string }
  | { readonly at: number; readonly op: "write"; readonly id: number; readonly bytes: Buffer }
  | { readonly at: number; readonly op: "pause" | "close"; readonly id: number };

/** Bytes that wait in the generator for one connection, above which it writes no more: a server that reads slowly. */
const MAX_WAITING_BYTES = 1_048_576;

/** Maximum connections that are open at the same time. Each needs a descriptor here and one in the server. */
const MAX_OPEN = 4_000;

/** What a {@link Wire} reports. */
export interface WireEvents {
  data?(chunk: Buffer): void;
  closed?(): void;
}

/** A TCP connection of an attacker. Its steps are recorded. */
export class Wire {
  readonly #wires: Wires;
  readonly #socket: Socket;
  readonly #id: number;
  #open = true;

  constructor(wires: Wires, id: number, address: string, events: WireEvents) {
    this.#wires = wires;
    this.#id = id;
    const { port } = wires;
    const socket = connect({ port, host: "127.0.0.1", localAddress: address, noDelay: true });
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      wires.received += chunk.length;
      events.data?.(chunk);
    });
    // Resets and refused connections are normal ends.
    socket.on("error", () => {});
    socket.once("close", () => {
      if (this.#open) this.#ended();
      events.closed?.();
    });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Writes bytes, unless much waits already or the connection has ended. The buffer must not change afterwards. */
  write(bytes: Buffer): void {
    if (!this.#open || this.#socket.writableLength > MAX_WAITING_BYTES) return;
    this.#wires.sent += bytes.length;
    this.#wires.record({ at: this.#wires.now, op: "write", id: this.#id, bytes });
    this.#socket.write(bytes);
  }

  /** Stops reading for good. */
  pause(): void {
    if (!this.#open) return;
    this.#wires.record({ at: this.#wires.now, op: "pause", id: this.#id });
    this.#socket.pause();
  }

  close(): void {
    if (!this.#open) return;
    this.#ended();
    this.#socket.destroy();
  }

  #ended(): void {
    this.#open = false;
    this.#wires.record({ at: this.#wires.now, op: "close", id: this.#id });
    this.#wires.forget(this);
  }
}

/** All connections of an attack to one server, and the record of what was done to them. */
export class Wires {
  readonly port: number;
  /** Bytes written and received so far. */
  sent = 0;
  received = 0;
  /** Connections opened so far. */
  opened = 0;
  readonly steps: WireStep[] = [];
  readonly #open = new Set<Wire>();
  readonly #begin = performance.now();

  constructor(port: number) {
    this.port = port;
  }

  /** Milliseconds since the start. */
  get now(): number {
    return performance.now() - this.#begin;
  }

  /** Connections that are open now. */
  get openNow(): number {
    return this.#open.size;
  }

  /** Opens a connection from a loopback address; null if too many are open. */
  open(address: string, events: WireEvents = {}): Wire | null {
    if (this.#open.size >= MAX_OPEN) return null;
    const id = this.opened++;
    this.record({ at: this.now, op: "open", id, address });
    const wire = new Wire(this, id, address, events);
    this.#open.add(wire);
    return wire;
  }

  record(step: WireStep): void {
    this.steps.push(step);
  }

  forget(wire: Wire): void {
    this.#open.delete(wire);
  }

  closeAll(): void {
    for (const wire of [...this.#open]) wire.close();
  }
}
