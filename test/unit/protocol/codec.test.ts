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
  if (decoded.ok) throw new Error(`accepted: ${JSON.stringify(decoded.frame)}`);
  return decoded;
}

describe("the frame decoder", () => {
  it("accepts a message without a type, as the original service did", () => {
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
  ])("returns %j unchanged", (frame) => {
    expect(ok(frame)).toEqual(frame);
  });

  it("counts lengths in characters, not in UTF-16 units or bytes", () => {
    expect(ok({ message: "😀".repeat(100) })).toMatchObject({ message: "😀".repeat(100) });
    expect(refused({ message: "😀".repeat(101) }).message).toBe(
      "Field `message` must have at most 100 characters.",
    );
    expect(ok({ message: "x", id: "😀".repeat(64) })).toMatchObject({ id: "😀".repeat(64) });
  });

  it("uses the last of duplicate keys, as JSON.parse does", () => {
    expect(ok('{"message":"a","message":"b"}')).toEqual({ type: "message", message: "b" });
    expect(refused('{"message":"a","message":1}').message).toContain("`message`");
  });
});

/** What is wrong, the frame, and a part of the error message that names the field and what was expected. */
const faults: [string, unknown, string][] = [
  ["no fields", {}, "Field `message` is missing in the message frame."],
  ["a null message", { message: null }, "Field `message` must be a string."],
  ["a number as message", { message: 1 }, "Field `message` must be a string."],
  ["a list as message", { message: ["x"] }, "Field `message` must be a string."],
  ["an empty message", { message: "" }, "Field `message` must not be empty."],
  [
    "a message that is too long",
    { message: "x".repeat(101) },
    "Field `message` must have at most 100 characters.",
  ],
  ["a lone high surrogate", '{"message":"a\\ud800"}', "well-formed Unicode"],
  ["a lone low surrogate", '{"message":"\\udc00a"}', "well-formed Unicode"],
  ["swapped surrogates", '{"message":"\\udc00\\ud800"}', "well-formed Unicode"],
  ["a lone surrogate in the id", '{"message":"a","id":"\\ud800"}', "well-formed Unicode"],
  ["a number as id", { message: "x", id: 1 }, "Field `id` must be a string."],
  ["an empty id", { message: "x", id: "" }, "Field `id` must not be empty."],
  [
    "an id that is too long",
    { message: "x", id: "i".repeat(65) },
    "Field `id` must have at most 64 characters.",
  ],
  ["a null id", { message: "x", id: null }, "Field `id` must be a string."],
  [
    "a space in the conversation",
    { message: "x", conversation: "a b" },
    "Field `conversation` must be 1 to 64 characters of",
  ],
  ["an empty conversation", { message: "x", conversation: "" }, "Field `conversation` must be 1 to 64"],
  [
    "a conversation that is too long",
    { message: "x", conversation: "c".repeat(65) },
    "Field `conversation` must be 1 to 64",
  ],
  [
    "a line break in the conversation",
    { message: "x", conversation: "c\n" },
    "Field `conversation` must be 1 to 64",
  ],
  [
    "a non-ASCII letter in the conversation",
    { message: "x", conversation: "é" },
    "Field `conversation` must be 1 to 64",
  ],
  ["a number as conversation", { message: "x", conversation: 7 }, "Field `conversation` must be a string."],
  ["a string as stream", { message: "x", stream: "true" }, "Field `stream` must be a boolean."],
  ["a number as stream", { message: "x", stream: 1 }, "Field `stream` must be a boolean."],
  ["too many tokens", { message: "x", max_tokens: 513 }, "Field `max_tokens` must be <= 512."],
  ["no tokens", { message: "x", max_tokens: 0 }, "Field `max_tokens` must be >= 1."],
  ["a fraction of a token", { message: "x", max_tokens: 1.5 }, "Field `max_tokens` must be an integer."],
  ["a string as max_tokens", { message: "x", max_tokens: "5" }, "Field `max_tokens` must be an integer."],
  ["infinite max_tokens", '{"message":"x","max_tokens":1e999}', "Field `max_tokens` must be an integer."],
  [
    "a temperature that is too high",
    { message: "x", temperature: 2.01 },
    "Field `temperature` must be <= 2.",
  ],
  ["a negative temperature", { message: "x", temperature: -0.1 }, "Field `temperature` must be >= 0."],
  ["a string as temperature", { message: "x", temperature: "1" }, "Field `temperature` must be a number."],
  ["an infinite temperature", '{"message":"x","temperature":1e999}', "Field `temperature` must be a number."],
  ["a negative seed", { message: "x", seed: -1 }, "Field `seed` must be >= 0."],
  ["a seed over 32 bits", { message: "x", seed: 4_294_967_296 }, "Field `seed` must be <= 4294967295."],
  [
    "a huge seed",
    '{"message":"x","seed":123456789012345678901234567890}',
    "Field `seed` must be <= 4294967295.",
  ],
  ["a fractional seed", { message: "x", seed: 0.5 }, "Field `seed` must be an integer."],
  ["an unknown field", { message: "x", massage: 1 }, 'Unknown field "massage" in the message frame.'],
  [
    "a field of another frame type",
    { message: "x", answer: "a" },
    'Unknown field "answer" in the message frame.',
  ],
  [
    "a field __proto__",
    '{"message":"x","__proto__":{"stream":true}}',
    'Unknown field "__proto__" in the message frame.',
  ],
  [
    "a field constructor",
    { message: "x", constructor: 1 },
    'Unknown field "constructor" in the message frame.',
  ],
  ["a field hasOwnProperty", { message: "x", hasOwnProperty: 1 }, 'Unknown field "hasOwnProperty"'],
  [
    "an unknown type",
    { type: "sing" },
    'Unknown frame type "sing"; expected one of: message, cancel, ack, history, resume, auth.refresh, ping.',
  ],
  ["the name of an inherited property as type", { type: "constructor" }, 'Unknown frame type "constructor"'],
  ["__proto__ as type", { type: "__proto__" }, 'Unknown frame type "__proto__"'],
  ["a null type", { type: null, message: "x" }, "Unknown frame type null; expected one of"],
  ["a list as type", { type: ["ping"] }, "Unknown frame type an array"],
  ["a number as type", { type: 1 }, 'Unknown frame type "1"'],
  ["a type in upper case", { type: "PING" }, 'Unknown frame type "PING"'],
  ["a cancel without a name", { type: "cancel" }, "A cancel frame names either `answer` or `id`."],
  [
    "a cancel with both names",
    { type: "cancel", answer: "a", id: "b" },
    "A cancel frame names either `answer` or `id`.",
  ],
  ["a cancel with a number as answer", { type: "cancel", answer: 1 }, "Field `answer` must be a string."],
  ["a cancel with an empty answer", { type: "cancel", answer: "" }, "Field `answer` must not be empty."],
  [
    "a cancel with an answer that is too long",
    { type: "cancel", answer: "a".repeat(65) },
    "Field `answer` must have at most 64",
  ],
  [
    "a cancel with a bad conversation",
    { type: "cancel", id: "a", conversation: "?" },
    "Field `conversation` must be",
  ],
  [
    "a cancel with an unknown field",
    { type: "cancel", answer: "a", why: "" },
    'Unknown field "why" in the cancel frame.',
  ],
  ["a resume without a session", { type: "resume" }, "Field `session` is missing in the resume frame."],
  ["a resume with a number as session", { type: "resume", session: 1 }, "Field `session` must be a string."],
  ["a resume with an empty session", { type: "resume", session: "" }, "Field `session` must not be empty."],
  [
    "a resume with a session that is too long",
    { type: "resume", session: "s".repeat(65) },
    "Field `session` must have at most 64",
  ],
  [
    "a resume with an unknown field",
    { type: "resume", session: "s", from: 1 },
    'Unknown field "from" in the resume frame.',
  ],
  [
    "answers that are not a list",
    { type: "resume", session: "s", answers: {} },
    "Field `answers` must be an array.",
  ],
  [
    "an answer that is not an object",
    { type: "resume", session: "s", answers: ["a"] },
    "Field `answers.0` must be an object.",
  ],
  [
    "an answer without from",
    { type: "resume", session: "s", answers: [{ answer: "a" }] },
    "Field `answers.0.from` is missing in the resume frame.",
  ],
  [
    "an answer with an unknown field",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 0, to: 1 }] },
    'Unknown field "to" in `answers.0` of the resume frame.',
  ],
  [
    "a negative from",
    { type: "resume", session: "s", answers: [{ answer: "a", from: -1 }] },
    "Field `answers.0.from` must be >= 0.",
  ],
  [
    "a fractional from",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 0.5 }] },
    "Field `answers.0.from` must be an integer.",
  ],
  [
    "a from over the safe integers",
    { type: "resume", session: "s", answers: [{ answer: "a", from: 2 ** 53 }] },
    "Field `answers.0.from` must be <=",
  ],
  [
    "33 answers",
    { type: "resume", session: "s", answers: Array.from({ length: 33 }, () => ({ answer: "a", from: 0 })) },
    "Field `answers` must have at most 32 entries.",
  ],
  ["a ping with an unknown field", { type: "ping", at: 1 }, 'Unknown field "at" in the ping frame.'],
  ["text that is not JSON", "hello", "not valid JSON"],
  ["empty text", "", "not valid JSON"],
  ["an incomplete frame", '{"message":"x"', "not valid JSON"],
  ["a NUL character in JSON", '{"message":"\u0000"}', "not valid JSON"],
  ["two frames in one text", '{"type":"ping"}{"type":"ping"}', "not valid JSON"],
  ["a comment", '{"type":"ping"} // hi', "not valid JSON"],
  ["a byte order mark", '\uFEFF{"type":"ping"}', "not valid JSON"],
  ["JSON null", "null", "The frame is null; expected a JSON object"],
  ["a JSON array", "[]", "The frame is an array; expected a JSON object"],
  ["a JSON string", '"ping"', "The frame is a string; expected a JSON object"],
  ["a JSON number", "1e999", "The frame is a number; expected a JSON object"],
];

describe("the frame decoder refuses a bad frame", () => {
  it.each(faults)("and names the field and what was expected: %s", (_what, frame, message) => {
    expect(refused(frame).message).toContain(message);
  });

  it("that is nested too deeply for recursion, at any position", () => {
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

  it("that has fields of another frame type, instead of removing them", () => {
    // With removeAdditional and several schemas, fields that are valid in one schema are deleted by another.
    expect(refused({ type: "cancel", answer: "a", message: "x" }).message).toContain('"message"');
    expect(refused({ type: "ping", session: "s" }).message).toContain('"session"');
  });

  it("and quotes only the beginning of its text, cut at a character boundary", () => {
    const { message } = refused({ type: `x${"😀".repeat(5000)}` });
    expect(message.length).toBeLessThan(200);
    expect(message).not.toMatch(/\\ud83d/i);
    expect(message).not.toMatch(/\p{Surrogate}/u);
    expect(refused({ message: "x", ["k".repeat(10_000)]: 1 }).message.length).toBeLessThan(200);
  });

  it("and returns its id if it is valid, so that the client can match the error", () => {
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
