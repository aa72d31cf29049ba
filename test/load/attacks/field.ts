import { upgradeRequest } from "../../bench/harness/wire.ts";
import type { Wires } from "./wires.ts";

/** Connections that a scenario opens a second. More could overflow the backlog, which costs a second each. */
const MAX_OPENS_PER_SECOND = 500;
/** Connections that may be opened at once. */
const OPENS_AT_ONCE = 25;

/** Addresses of one network 127.x.y.0/24 that are used. */
const PER_NETWORK = 250;

/** Loopback address of attacker `index`, all within 127.1.0.0/16. */
export function attackerAddress(index: number): string {
  return `127.1.${Math.floor(index / PER_NETWORK)}.${(index % PER_NETWORK) + 1}`;
}

/** Loopback address of honest client `index`, in another network than the attackers'. */
export function honestAddress(index: number): string {
  return `127.200.${Math.floor(index / PER_NETWORK)}.${(index % PER_NETWORK) + 1}`;
}

/** What a scenario works with. */
export interface Field {
  readonly wires: Wires;
  /** Entity tag of the page, for requests that are answered with 304. */
  readonly etag: string;
  readonly upgradeRequest: Buffer;
  /** The address of attacker `index`. The addresses repeat. */
  many(index: number): string;
  /** The same address for every attacker. */
  one(index: number): string;
  /** Whether one more connection may be opened now; counts it. */
  mayOpen(): boolean;
}

/** @param addresses number of addresses that the attackers use */
export function createField(wires: Wires, addresses: number, etag: string): Field {
  let opened = 0;
  return {
    wires,
    etag,
    upgradeRequest: Buffer.from(upgradeRequest(wires.port, "/ws/chat")),
    many: (index) => attackerAddress(index % addresses),
    one: () => attackerAddress(0),
    mayOpen() {
      if (opened >= OPENS_AT_ONCE + (wires.now / 1000) * MAX_OPENS_PER_SECOND) return false;
      opened++;
      return true;
    },
  };
}
