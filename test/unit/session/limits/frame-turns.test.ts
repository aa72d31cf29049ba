import { describe, expect, it } from "vitest";
import { noMetrics } from "../../../../src/core/metrics.ts";
import {
  FrameTurns,
  type FrameSource,
  type WaitingFrame,
} from "../../../../src/session/limits/frame-turns.ts";

const LARGE = "x".repeat(64_000);

/** A socket that records what is handled, in one list for all. */
class FakeSource implements FrameSource {
  waiting: WaitingFrame[] | null = null;
  closed: string | null = null;
  readonly owner;
  readonly #turns: FrameTurns;
  readonly #handled: string[];

  constructor(turns: FrameTurns, handled: string[], accountKey: string) {
    this.#turns = turns;
    this.#handled = handled;
    const authenticated = accountKey.startsWith("sub:");
    this.owner = { authenticated, accountKey, client: accountKey, publicId: accountKey };
  }

  send(text: string): void {
    if (this.closed !== null) return;
    const name = `${this.owner.accountKey} ${text.length > 100 ? "large" : text}`;
    this.#turns.run(this, text.length, () => void this.#handled.push(name));
  }

  close(reason: string): void {
    this.closed = reason;
    this.#turns.drop(this);
  }
}

/** A loop whose turns end when a test says so. */
class ManualLoop {
  #callbacks: (() => void)[] = [];

  atEndOfTurn(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  endTurn(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

function bench(limits: { maxPerSocket?: number; maxBytes?: number } = {}) {
  const loop = new ManualLoop();
  const handled: string[] = [];
  const gauges = new Map<string, () => number>();
  const turns = new FrameTurns({
    loop,
    watch: { begin() {}, end() {} },
    metrics: { ...noMetrics, gauge: (name, _help, read) => void gauges.set(name, read) },
    maxPerSocket: Infinity,
    maxBytes: 64 * 1_048_576,
    ...limits,
  });
  const source = (accountKey: string): FakeSource => new FakeSource(turns, handled, accountKey);
  const bytes = (): number => gauges.get("waiting_frame_bytes")?.() as number;
  const waiting = (): number => gauges.get("waiting_frames")?.() as number;
  return { turns, loop, handled, source, bytes, waiting };
}

describe("FrameTurns", () => {
  it("handles frames at once while the turn has room", () => {
    const { handled, source, waiting } = bench();
    const ada = source("sub:ada");
    for (let index = 0; index < 100; index++) ada.send(`${index}`);
    expect(handled).toHaveLength(100);
    expect(waiting()).toBe(0);
  });

  it("handles about 128 KiB of text in a turn, and all of it in the end", () => {
    const { loop, handled, source, waiting, bytes } = bench();
    const sockets = Array.from({ length: 60 }, (_, index) => source(`addr:10.0.0.${index}`));
    for (const socket of sockets) socket.send(LARGE);
    expect(handled).toHaveLength(3);
    expect(waiting()).toBe(57);
    for (let before = handled.length; waiting() > 0; before = handled.length) {
      loop.endTurn();
      expect(handled.length - before).toBeGreaterThan(0);
      expect(handled.length - before).toBeLessThanOrEqual(3);
    }
    expect(new Set(handled).size).toBe(60);
    expect(bytes()).toBe(0);
  });

  it("handles a frame of another client in the next turn, however many wait", () => {
    const { loop, handled, source } = bench();
    const flood = source("addr:10.0.0.1");
    for (let index = 0; index < 200; index++) flood.send(LARGE);
    source("sub:ada").send("hello");
    expect(handled).not.toContain("sub:ada hello");
    loop.endTurn();
    expect(handled).toContain("sub:ada hello");
    expect(handled.length).toBeLessThan(8);
  });

  it("keeps the order of the frames of a socket, small ones included", () => {
    const { loop, handled, source, waiting } = bench();
    const ada = source("sub:ada");
    for (let index = 0; index < 5; index++) {
      ada.send(LARGE);
      ada.send(`${index}`);
    }
    while (waiting() > 0) loop.endTurn();
    expect(handled).toEqual([0, 1, 2, 3, 4].flatMap((index) => ["sub:ada large", `sub:ada ${index}`]));
  });

  it("closes a socket with more waiting frames than its rates allow, and drops them", () => {
    const { loop, handled, source, waiting, bytes } = bench({ maxPerSocket: 10 });
    const flood = source("addr:10.0.0.1");
    for (let index = 0; index < 20; index++) flood.send(LARGE);
    expect(flood.closed).toBe("policy");
    expect([waiting(), bytes()]).toEqual([0, 0]);
    loop.endTurn();
    expect(handled).toHaveLength(3);
  });

  it("closes the socket of the principal that holds most of the memory when it is used up", () => {
    const { source, waiting, bytes, loop, handled } = bench({ maxBytes: 1_048_576 });
    const ada = source("sub:ada");
    const flood = Array.from({ length: 30 }, () => source("addr:10.0.0.1"));
    flood[0]?.send(LARGE);
    flood[0]?.send(LARGE);
    flood[0]?.send(LARGE);
    ada.send(LARGE);
    for (const socket of flood) socket.send(LARGE);
    expect(bytes()).toBeLessThanOrEqual(1_048_576);
    expect(ada.closed).toBeNull();
    expect(flood.filter(({ closed }) => closed === "overloaded").length).toBeGreaterThan(0);
    while (waiting() > 0) loop.endTurn();
    expect(handled.filter((each) => each === "sub:ada large")).toHaveLength(1);
    expect(bytes()).toBe(0);
  });

  it("handles nothing of a socket that has closed", () => {
    const { turns, source, loop, handled, waiting } = bench();
    const flood = source("addr:10.0.0.1");
    for (let index = 0; index < 10; index++) flood.send(LARGE);
    turns.drop(flood);
    expect(waiting()).toBe(0);
    loop.endTurn();
    expect(handled).toHaveLength(3);
  });
});
