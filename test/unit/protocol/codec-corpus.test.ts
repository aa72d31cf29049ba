import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFrameDecoder } from "../../../src/protocol/codec.ts";
import { acceptedFrames, refusedFrames } from "../../support/frame-corpus.ts";
import { mutatedFrames } from "../../support/frame-mutations.ts";

const decode = createFrameDecoder({ maxMessageChars: 1000, maxOutputTokens: 512 });

/** Changing it looks elsewhere; a run that fails prints its own. */
const SEED = 20_261_123;

describe("the corpus of frames", () => {
  it.each(acceptedFrames())("holds what is taken: %s", (text) => {
    expect(decode(text)).toMatchObject({ ok: true });
  });

  it.each(refusedFrames())("holds what is refused with words: %s", (text) => {
    const decoded = decode(text);
    expect(decoded.ok).toBe(false);
    if (!decoded.ok) expect(decoded.message).toMatch(/^.{15,300}$/s);
  });

  it("has every type of frame, right and wrong", () => {
    const typesOf = (frames: readonly string[]) =>
      new Set(frames.flatMap((text) => /"type":"([a-z.]+)"/.exec(text)?.[1] ?? []));
    const { message } = decode('{"type":"?"}') as { message: string };
    const known = /one of: (.*)\.$/.exec(message)?.[1]?.split(", ") ?? [];
    expect(known.length).toBeGreaterThan(3);
    expect([...typesOf(acceptedFrames())].toSorted()).toEqual(known.toSorted());
    for (const type of known) expect(typesOf(refusedFrames())).toContain(type);
  });

  it("however it is mutated, never makes the decoder throw, nor take what is no frame", () => {
    const corpus = [...acceptedFrames(), ...refusedFrames()];
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(mutatedFrames(corpus), (text) => {
        const decoded = decode(text);
        if (!decoded.ok) {
          refused++;
          expect(decoded.message.length).toBeGreaterThan(10);
          expect(decoded.message.length).toBeLessThan(400);
          return;
        }
        taken++;
        const { frame } = decoded;
        expect(Object.getPrototypeOf(frame)).toBe(Object.prototype);
        // What was taken says the same when it is written and read again.
        expect(decode(JSON.stringify(frame))).toEqual(decoded);
      }),
      { numRuns: 10_000, seed: SEED },
    );
    expect(taken).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(5_000);
  });
});
