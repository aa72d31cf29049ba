import type { Options } from "ajv";
import { expect, it, vi } from "vitest";
import { createFrameDecoder } from "../../../src/protocol/codec.ts";

const { seen } = vi.hoisted(() => ({ seen: [] as (Options | undefined)[] }));

vi.mock(import("ajv"), async (original) => {
  const real = await original();
  class Recorded extends real.Ajv {
    constructor(options?: Options) {
      super(options);
      seen.push(options);
    }
  }
  return { ...real, Ajv: Recorded };
});

// With allErrors a client could make one frame arbitrarily expensive; removeAdditional deletes valid fields.
it("the frame decoder stops at the first fault of a frame and removes no fields", () => {
  const decode = createFrameDecoder({ maxMessageChars: 100, maxOutputTokens: 100 });
  expect(seen).toHaveLength(1);
  expect(seen[0]?.allErrors ?? false).toBe(false);
  expect(seen[0]?.removeAdditional ?? false).toBe(false);
  expect(decode('{"message":"Hi","a":1,"b":2}')).toMatchObject({
    ok: false,
    message: 'Unknown field "a" in the message frame.',
  });
});
