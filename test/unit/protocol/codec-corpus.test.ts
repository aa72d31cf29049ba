import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { createFrameDecoder } from "../../../src/protocol/codec.ts";
import { acceptedFrames, refusedFrames } from "../../support/frame-corpus.ts";
import { mutatedFrames } from "../../support/frame-mutations.ts";

const decode = createFrameDecoder({ maxMessageChars: 1000, maxOutputTokens: 512 });

/** Fixed, so that runs are reproducible. A failing run prints its seed. */
const SEED = 20_261_123;

describe("the frame decoder on the corpus", () => {
  it.each(acceptedFrames())("accepts %s", (text) => {
    expect(decode(text)).toMatchObject({ ok: true });
  });

  it.each(refusedFrames())("refuses with an error message: %s", (text) => {
    const decoded = decode(text);
    expect(decoded.ok).toBe(false);
    if (!decoded.ok) expect(decoded.message).toMatch(/^.{15,300}$/s);
  });

  it("is tested with accepted and refused frames of every type", () => {
    const typesOf = (frames: readonly string[]) =>
      new Set(frames.flatMap((text) => /"type":"([a-z.]+)"/.exec(text)?.[1] ?? []));
    const { message } = decode('{"type":"?"}') as { message: string };
    const known = /one of: (.*)\.$/.exec(message)?.[1]?.split(", ") ?? [];
    expect(known.length).toBeGreaterThan(3);
    expect([...typesOf(acceptedFrames())].toSorted()).toEqual(known.toSorted());
    for (const type of known) expect(typesOf(refusedFrames())).toContain(type);
  });

  it("never throws on mutated frames, and accepts only valid ones", () => {
    const corpus = [...acceptedFrames(), ...refusedFrames()];
    let accepted = 0;
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
        accepted++;
        const { frame } = decoded;
        expect(Object.getPrototypeOf(frame)).toBe(Object.prototype);
        // An accepted frame is unchanged after encoding and decoding.
        expect(decode(JSON.stringify(frame))).toEqual(decoded);
      }),
      { numRuns: 10_000, seed: SEED },
    );
    expect(accepted).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(5_000);
  });
});
