import type { Attack } from "./attack.ts";
import { CONNECTION_BYTES } from "./bounds.ts";
import type { Field } from "./field.ts";
import type { Wire } from "./wires.ts";

/** Requests in one write. */
const PIPELINED = 16;
const UNREAD_CONNECTIONS = 200;
const SLOW_CONNECTIONS = 1_500;
/** Bytes of the largest reply: the page. Of replies that are not read, a connection may keep one. */
const REPLY_BYTES = 65_536;

function requests(field: Field): Buffer {
  const request = (method: string, path: string, header = ""): string =>
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${field.wires.port}\r\n${header}\r\n`;
  const kinds = [
    request("GET", "/healthz"),
    request("GET", "/"),
    request("GET", "/", `If-None-Match: ${field.etag}\r\n`),
    request("HEAD", "/"),
  ];
  return Buffer.from(Array.from({ length: PIPELINED }, (_, index) => kinds[index % kinds.length]).join(""));
}

/** Connections by index that are opened again when the server has closed them. */
class WirePool {
  readonly #field: Field;
  readonly #wires: (Wire | null)[];
  readonly #opened: (wire: Wire) => void;

  constructor(field: Field, count: number, opened: (wire: Wire) => void) {
    this.#field = field;
    this.#wires = Array.from({ length: count }, () => null);
    this.#opened = opened;
  }

  turn(n: number): Wire | null {
    const index = n % this.#wires.length;
    const wire = this.#wires[index] ?? null;
    if (wire?.isOpen === true) return wire;
    if (!this.#field.mayOpen()) return null;
    // A tenth of the connections belong to one address.
    const address = index % 10 === 0 ? this.#field.one(index) : this.#field.many(index);
    const opened = this.#field.wires.open(address);
    this.#wires[index] = opened;
    if (opened !== null) this.#opened(opened);
    return null;
  }
}

/** Attacks before any WebSocket. */
export const httpAttacks = {
  "http-unread": {
    summary: `${UNREAD_CONNECTIONS} connections send HTTP requests in batches of ${PIPELINED} (small replies, page files, 304, HEAD) and read no reply`,
    perSecond: 300,
    held: () => UNREAD_CONNECTIONS * (CONNECTION_BYTES + REPLY_BYTES),
    begin(field) {
      const batch = requests(field);
      const pool = new WirePool(field, UNREAD_CONNECTIONS, (wire) => wire.pause());
      return (n) => pool.turn(n)?.write(batch);
    },
  },
  "http-slow": {
    summary: `${SLOW_CONNECTIONS} connections send a request head, one header every few seconds`,
    perSecond: 500,
    held: () => SLOW_CONNECTIONS * CONNECTION_BYTES,
    begin(field) {
      const head = Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
      const line = Buffer.from("X-A: b\r\n");
      const pool = new WirePool(field, SLOW_CONNECTIONS, (wire) => wire.write(head));
      return (n) => pool.turn(n)?.write(line);
    },
  },
  churn: {
    summary: "500 connections a second, closed soon after, with and without a request",
    perSecond: 500,
    held: () => 0,
    begin(field) {
      const request = Buffer.from(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${field.wires.port}\r\n\r\n`);
      const open: (Wire | null)[] = [];
      return (n) => {
        const wire = field.wires.open(field.many(n));
        if (n % 2 === 0) wire?.write(request);
        open.push(wire);
        if (open.length > 50) open.shift()?.close();
      };
    },
  },
  descriptors: {
    summary: "more connections than the service has file descriptors (512), half of them WebSockets",
    perSecond: 300,
    descriptors: 512,
    held: () => 512 * CONNECTION_BYTES,
    begin(field) {
      let opened = 0;
      const pool = new WirePool(field, 900, (wire) => {
        if (opened++ % 2 === 0) wire.write(field.upgradeRequest);
      });
      return (n) => void pool.turn(n);
    },
  },
} satisfies Record<string, Attack>;
