import { describe, expect, it } from "vitest";
import { Outbox } from "../../../../src/session/delivery/outbox.ts";

describe("Outbox", () => {
  it("returns frames in order", () => {
    const outbox = new Outbox();
    expect(outbox.take()).toBeUndefined();
    outbox.add("error", "1");
    outbox.add("pong", "2");
    expect([outbox.take()?.text, outbox.take()?.text, outbox.take()]).toEqual(["1", "2", undefined]);
  });

  it("keeps only the newest notice of each name, and every error, pong and reply", () => {
    const outbox = new Outbox();
    outbox.add("system", "resumed");
    outbox.add("system", "old", "draining");
    outbox.add("error", "e1");
    outbox.add("error", "e1");
    outbox.add("system", "other", "provider_recovered");
    outbox.add("system", "new", "draining");
    outbox.add("pong", "p");
    outbox.add("pong", "p");
    const texts = Array.from({ length: outbox.size }, () => outbox.take()?.text);
    expect(texts).toEqual(["resumed", "e1", "e1", "other", "new", "p", "p"]);
  });

  it("is full at 64 frames", () => {
    const outbox = new Outbox();
    for (let index = 0; index < 64; index++) expect(outbox.add("pong", "p")).toBe(true);
    expect(outbox.add("pong", "p")).toBe(false);
    outbox.take();
    expect(outbox.add("pong", "p")).toBe(true);
  });

  it("is full at 16 KiB of frames, counted in bytes", () => {
    const outbox = new Outbox();
    const notice = "é".repeat(4096);
    for (let round = 0; round < 5; round++) expect(outbox.add("system", notice, "draining")).toBe(true);
    expect(outbox.add("error", "é".repeat(4096))).toBe(true);
    expect(outbox.add("error", "x")).toBe(false);
    outbox.take();
    expect(outbox.add("error", "x")).toBe(true);
    expect(outbox.add("error", "é".repeat(4096))).toBe(false);
  });
});
