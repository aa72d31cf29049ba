import { describe, expect, it } from "vitest";
import { createFrameDecoder, type Decoded } from "../../../src/protocol/codec.ts";

const decode = createFrameDecoder({ maxMessageChars: 100, maxOutputTokens: 512 });

function ok(value: unknown): unknown {
  const decoded = decode(typeof value === "string" ? value : JSON.stringify(value));
  if (!decoded.ok) throw new Error(decoded.message);
  return decoded.frame;
}

function refused(value: unknown): Extract<Decoded, { ok: false }> {
  const decoded = decode(typeof value === "string" ? value : JSON.stringify(value));
  if (decoded.ok) throw new Error(`taken: ${JSON.stringify(decoded.frame)}`);
  return decoded;
}

describe("the frame decoder takes", () => {
  it("the original's message, which has no type", () => {
    expect(ok({ message: "Hello" })).toEqual({ type: "message", message: "Hello" });
    expect(ok({ type: "message", message: "Hello" })).toEqual({ type: "message", message: "Hello" });
  });

  it.each([
    {
      type: "message",
      message: "x",
      id: "i",
      conversation: "A-z_0",
      stream: false,
      max_tokens: 512,
      temperature: 0,
      seed: 4_294_967_295,
    },
    { type: "message", message: "x", temperature: 2, seed: 0, max_tokens: 1, stream: true },
    { type: "message", message: "\u0000\n\u2028" },
    { type: "cancel", answer: "a" },
    { type: "cancel", id: "i" },
    { type: "cancel", id: "i", conversation: "c" },
    { type: "resume", session: "s" },
    { type: "resume", session: "s", answers: [] },
    { type: "resume", session: "s", answers: [{ answer: "a", from: 0 }] },
    {
      type: "resume",
      session: "s",
      answers: Array.from({ length: 32 }, () => ({ answer: "a", from: Number.MAX_SAFE_INTEGER })),
    },
    { type: "ping" },
  ])("%j unchanged", (frame) => {
    expect(ok(frame)).toEqual(frame);
  });

  it("lengths in characters, not in UTF-16 units or bytes", () => {
    expect(ok({ message: "😀".repeat(100) })).toMatchObject({ message: "😀".repeat(100) });
    expect(refused({ message: "😀".repeat(101) }).message).toBe(
      "Field `message` must have at most 100 characters.",
    );
    expect(ok({ message: "x", id: "😀".repeat(64) })).toMatchObject({ id: "😀".repeat(64) });
  });

  it("the last of duplicate keys, as JSON says", () => {
    expect(ok('{"message":"a","message":"b"}')).toEqual({ type: "message", message: "b" });
    expect(refused('{"message":"a","message":1}').message).toContain("`message`");
  });
});

/** Frame, and a part of the message that names the field and what was expected. */
const faults: [string, unknown, string][] = [
  ["no field", {}, "Field `message` is missing in the message frame."],
  ["null message", { message: null }, "Field `message` must be a string."],
  ["number message", { message: 1 }, "Field `message` must be a string."],
  ["list message", { message: ["x"] }, "Field `message` must be a string."],
  ["empty message", { message: "" }, "Field `message` must not be empty."],
  ["long message", { message: "x".repeat(101) }, "Field `message` must have at most 100 characters."],
  ["lone high surrogate", '{"message":"a\\ud800"}', "well-formed Unicode"],
  ["lone low surrogate", '{"message":"\\udc00a"}', "well-formed Unicode"],
  ["swapped surrogates", '{"message":"\\udc00\\ud800"}', "well-formed Unicode"],
  ["surrogate in id", '{"message":"a","id":"\\ud800"}', "well-formed Unicode"],
  ["number id", { message: "x", id: 1 }, "Field `id` must be a string."],
  ["empty id", { message: "x", id: "" }, "Field `id` must not be empty."],
  ["long id", { message: "x", id: "i".repeat(65) }, "Field `id` must have at most 64 characters."],
  ["null id", { message: "x", id: null }, "Field `id` must be a string."],
  [
    "blank in conversation",
    { message: "x", conversation: "a b" },
    "Field `conversation` must be 1 to 64 characters of",
  ],
  ["empty conversation", { message: "x", conversation: "" }, "Field `conversation` must be 1 to 64"],
  [
    "long conversation",
    { message: "x", conversation: "c".repeat(65) },
    "Field `conversation` must be 1 to 64",
  ],
  ["line end in conversation", { message: "x", conversation: "c\n" }, "Field `conversation` must be 1 to 64"],
  [
    "foreign letter in conversation",
    { message: "x", conversation: "é" },
    "Field `conversation` must be 1 to 64",
  ],
  ["number conversation", { message: "x", conversation: 7 }, "Field `conversation` must be a string."],
  ["word stream", { message: "x", stream: "true" }, "Field `stream` must be a boolean."],
  ["number stream", { message: "x", stream: 1 }, "Field `stream` must be a boolean."],
  ["too many tokens", { message: "x", max_tokens: 513 }, "Field `max_tokens` must be <= 512."],
  ["no tokens", { message: "x", max_tokens: 0 }, "Field `max_tokens` must be >= 1."],
  ["half a token", { message: "x", max_tokens: 1.5 }, "Field `max_tokens` must be an integer."],
  ["word tokens", { message: "x", max_tokens: "5" }, "Field `max_tokens` must be an integer."],
  ["endless tokens", '{"message":"x","max_tokens":1e999}', "Field `max_tokens` must be an integer."],
  ["hot", { message: "x", temperature: 2.01 }, "Field `temperature` must be <= 2."],
  ["cold", { message: "x", temperature: -0.1 }, "Field `temperature` must be >= 0."],
  ["word temperature", { message: "x", temperature: "1" }, "Field `temperature` must be a number."],
  ["endless temperature", '{"message":"x","temperature":1e999}', "Field `temperature` must be a number."],
  ["seed below zero", { message: "x", seed: -1 }, "Field `seed` must be >= 0."],
  ["seed over 32 bits", { message: "x", seed: 4_294_967_296 }, "Field `seed` must be <= 4294967295."],
  [
    "huge seed",
    '{"message":"x","seed":123456789012345678901234567890}',
    "Field `seed` must be <= 4294967295.",
  ],
  ["half a seed", { message: "x", seed: 0.5 }, "Field `seed` must be an integer."],
  ["unknown field", { message: "x", massage: 1 }, 'Unknown field "massage" in the message frame.'],
  ["field of another frame", { message: "x", answer: "a" }, 'Unknown field "answer" in the message frame.'],
  [
    "__proto__",
    '{"message":"x","__proto__":{"stream":true}}',
    'Unknown field "__proto__" in the message frame.',
  ],
  ["constructor", { message: "x", constructor: 1 }, 'Unknown field "constructor" in the message frame.'],
  ["hasOwnProperty", { message: "x", hasOwnProperty: 1 }, 'Unknown field "hasOwnProperty"'],
  [
    "unknown type",
    { type: "sing" },
    'Unknown frame type "sing"; expected one of: message, cancel, ack, history, resume, auth.refresh, ping.',
  ],
  ["inherited type", { type: "constructor" }, 'Unknown frame type "constructor"'],
  ["__proto__ type", { type: "__proto__" }, 'Unknown frame type "__proto__"'],
  ["null type", { type: null, message: "x" }, "Unknown frame type null; expected one of"],
  ["list type", { type: ["ping"] }, "Unknown frame type an array"],
  ["number type", { type: 1 }, 'Unknown frame type "1"'],
  ["upper case type", { type: "PING" }, 'Unknown frame type "PING"'],
  ["cancel of nothing", { type: "cancel" }, "A cancel frame names either `answer` or `id`."],
  [
    "cancel of both",
    { type: "cancel", answer: "a", id: "b" },
    "A cancel frame names either `answer` or `id`.",
  ],
  ["cancel of a number", { type: "cancel", answer: 1 }, "Field `answer` must be a string."],
  ["cancel of an empty answer", { type: "cancel", answer: "" }, "Field `answer` must not be empty."],
  [
    "cancel of a long answer",
    { type: "cancel", answer: "a".repeat(65) },
    "Field `answer` must have at most 64",
  ],
  [
    "cancel with a bad conversation",
    { type: "cancel", id: "a", conversation: "?" },
    "Field `conversation` must be",
  ],
  ["cancel with more", { type: "cancel", answer: "a", why: "" }, 'Unknown field "why" in the cancel frame.'],
  ["resume of nothing", { type: "resume" }, "Field `session` is missing in the resume frame."],
  ["resume of a number", { type: "resume", session: 1 }, "Field `session` must be a string."],
  ["resume of an empty session", { type: "resume", session: "" }, "Field `session` must not be empty."],
  [
    "resume of a long session",
    { type: "resume", session: "s".repeat(65) },
    "Field `session` must have at most 64",
  ],
  [
    "resume with more",
    { type: "resume", session: "s", from: 1 },
    'Unknown field "from" in the resume frame.',
  ],
  ["answers no list", { type: "resume", session: "s", answers: {} }, "Field `answers` must be an array."],
  [
    "answer no object",
    { type: "resume", session: "s", answers: ["a"] },
    "Field `answers.0` must be an object.",
  ],
  [
    "answer without from",
    { type: "resume", session: "s", answers: [{ answer: "a" }] },
    "Field `answers.0.from` is missing in the resume frame.",
  ],
  [
    "answer with more",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 0, to: 1 }] },
    'Unknown field "to" in `answers.0` of the resume frame.',
  ],
  [
    "from below zero",
    { type: "resume", session: "s", answers: [{ answer: "a", from: -1 }] },
    "Field `answers.0.from` must be >= 0.",
  ],
  [
    "half a from",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 0.5 }] },
    "Field `answers.0.from` must be an integer.",
  ],
  [
    "unsafe from",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 2 ** 53 }] },
    "Field `answers.0.from` must be <=",
  ],
  [
    "33 answers",
    { type: "resume", session: "s", answers: Array.from({ length: 33 }, () => ({ answer: "a", from: 0 })) },
    "Field `answers` must have at most 32 entries.",
  ],
  ["ping with more", { type: "ping", at: 1 }, 'Unknown field "at" in the ping frame.'],
  ["no JSON", "hello", "not valid JSON"],
  ["nothing", "", "not valid JSON"],
  ["half a frame", '{"message":"x"', "not valid JSON"],
  ["NUL in JSON", '{"message":"\u0000"}', "not valid JSON"],
  ["two frames", '{"type":"ping"}{"type":"ping"}', "not valid JSON"],
  ["a comment", '{"type":"ping"} // hi', "not valid JSON"],
  ["a byte order mark", '\uFEFF{"type":"ping"}', "not valid JSON"],
  ["null", "null", "The frame is null; expected a JSON object"],
  ["a list", "[]", "The frame is an array; expected a JSON object"],
  ["a text", '"ping"', "The frame is a string; expected a JSON object"],
  ["a number", "1e999", "The frame is a number; expected a JSON object"],
];

describe("the frame decoder refuses, naming the field and what was expected:", () => {
  it.each(faults)("%s", (_what, frame, message) => {
    expect(refused(frame).message).toContain(message);
  });

  it("nesting beyond any stack, wherever it stands", () => {
    const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
    const deepObject = `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`;
    for (const nested of [deep, deepObject]) {
      expect(refused(nested).message).toContain("frame");
      expect(refused(`{"message":${nested}}`).message).toBe("Field `message` must be a string.");
      expect(refused(`{"type":${nested}}`).message).toContain("Unknown frame type");
      expect(refused(`{"message":"x","id":${nested}}`).message).toBe("Field `id` must be a string.");
      expect(refused(`{"message":"x","more":${nested}}`).message).toContain('Unknown field "more"');
      expect(refused(`{"type":"resume","session":"s","answers":${nested}}`).message).toContain("`answers");
    }
  });

  it("without a change to the frame that it takes (no removeAdditional)", () => {
    // With removal and several schemas, fields that are valid in one are deleted by another.
    expect(refused({ type: "cancel", answer: "a", message: "x" }).message).toContain('"message"');
    expect(refused({ type: "ping", session: "s" }).message).toContain('"session"');
  });

  it("quoting only the beginning of what it was given, never half a character", () => {
    const { message } = refused({ type: `x${"😀".repeat(5000)}` });
    expect(message.length).toBeLessThan(200);
    expect(message).not.toMatch(/\\ud83d/i);
    expect(message).not.toMatch(/\p{Surrogate}/u);
    expect(refused({ message: "x", ["k".repeat(10_000)]: 1 }).message.length).toBeLessThan(200);
  });

  it("with the id of the frame where it has one, so that the client can match them", () => {
    expect(refused({ message: 1, id: "mine" }).id).toBe("mine");
    expect(refused({ type: "sing", id: "mine" }).id).toBe("mine");
    expect(refused({ message: 1, id: "😀".repeat(64) }).id).toBe("😀".repeat(64));
    expect(refused({ message: 1, id: "😀".repeat(65) })).not.toHaveProperty("id");
    expect(refused({ message: 1, id: "i".repeat(65) })).not.toHaveProperty("id");
    expect(refused({ message: 1, id: 5 })).not.toHaveProperty("id");
    expect(refused({ message: 1, id: "" })).not.toHaveProperty("id");
    expect(refused({ message: 1 })).not.toHaveProperty("id");
    expect(refused("[]")).not.toHaveProperty("id");
  });
});
