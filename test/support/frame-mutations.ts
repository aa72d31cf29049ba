import fc from "./property-tests.ts";

/** One change to a text. Positions are drawn as fractions, so that they fit any length. */
type Mutation = (text: string) => string;

/** Texts that tend to break parsers of JSON, schemas, numbers or Unicode. */
const TERMS = [
  ...'"\\{}[]:,/',
  "null",
  "true",
  "-0",
  "1e999",
  "99999999999999999999",
  "0.1e-400",
  '"type":',
  '"message":"again",',
  '"__proto__":{"x":1},',
  '"constructor":null,',
  '"id":"m1",',
  '{"a":',
  "\\u0000",
  "\\ud800",
  "\\u",
  "\u0000",
  "\u001f",
  "\u00a0",
  "\u2028",
  "\ufeff",
  "é🙂",
  "/setcontext text=",
  "[".repeat(500),
  '{"a":'.repeat(500),
  "x".repeat(3_000),
];

/** Words of the protocol, so that fields valid in one frame type appear in another. */
const WORDS = [
  "message",
  "cancel",
  "ack",
  "resume",
  "history",
  "auth.refresh",
  "ping",
  "answer",
  "answers",
  "session",
  "from",
  "to",
  "limit",
  "token",
  "id",
  "conversation",
  "stream",
  "seed",
  "type",
];

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const cut = (text: string, at: number): number => Math.floor(at * (text.length + 1));

function mutations(corpus: readonly string[]): fc.Arbitrary<Mutation> {
  const slice = fc.tuple(place, place).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  return fc.oneof(
    fc.tuple(place, fc.constantFrom(...TERMS)).map(([at, term]): Mutation => {
      return (text) => text.slice(0, cut(text, at)) + term + text.slice(cut(text, at));
    }),
    slice.map(([from, to]): Mutation => {
      return (text) => text.slice(0, cut(text, from)) + text.slice(cut(text, to));
    }),
    slice.map(([from, to]): Mutation => {
      return (text) => text.slice(0, cut(text, to)) + text.slice(cut(text, from));
    }),
    place.map(
      (at): Mutation =>
        (text) =>
          text.slice(0, cut(text, at)),
    ),
    fc.tuple(place, fc.integer({ min: 0, max: 0xffff })).map(([at, unit]): Mutation => {
      return (text) =>
        text.slice(0, cut(text, at)) + String.fromCharCode(unit) + text.slice(cut(text, at) + 1);
    }),
    fc.tuple(place, place, fc.constantFrom(...corpus)).map(([at, from, other]): Mutation => {
      return (text) => text.slice(0, cut(text, at)) + other.slice(cut(other, from));
    }),
    fc.tuple(fc.nat(), fc.constantFrom(...WORDS)).map(([which, word]): Mutation => {
      return (text) => {
        const found = [...text.matchAll(/"[^"\\]*"/g)];
        const hit = found[which % Math.max(1, found.length)];
        if (hit === undefined) return text;
        return `${text.slice(0, hit.index)}"${word}"${text.slice(hit.index + hit[0].length)}`;
      };
    }),
    fc.tuple(fc.nat(), fc.jsonValue({ maxDepth: 3 })).map(([which, value]): Mutation => {
      return (text) => {
        const found = [...text.matchAll(/:\s*("[^"\\]*"|-?\d[\d.]*|true|false|null)/g)];
        const hit = found[which % Math.max(1, found.length)];
        if (hit === undefined) return text;
        return `${text.slice(0, hit.index)}:${JSON.stringify(value)}${text.slice(hit.index + hit[0].length)}`;
      };
    }),
    fc.constant<Mutation>((text) => `[${text}]`),
    fc.constant<Mutation>((text) => text + text),
  );
}

/** Frames of the corpus after one to four changes: most are still nearly valid, which finds the most faults. */
export function mutatedFrames(corpus: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...corpus), fc.array(mutations(corpus), { minLength: 1, maxLength: 4 }))
    .map(([frame, changes]) => changes.reduce((text, change) => change(text), frame));
}

/** Byte sequences of the corpus with flipped bits and with removed, repeated or foreign bytes. */
export function mutatedBytes(corpus: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const change = fc.oneof(
    fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(([at, bits]) => (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes);
      const index = Math.floor(at * copy.length);
      if (index < copy.length) copy[index] = (copy[index] as number) ^ bits;
      return copy;
    }),
    // Favours the first bytes, which hold the frame headers.
    fc
      .tuple(fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 255 }))
      .map(([index, value]) => (bytes: Buffer): Buffer => {
        const copy = Buffer.from(bytes);
        if (index < copy.length) copy[index] = value;
        return copy;
      }),
    place.map(
      (at) =>
        (bytes: Buffer): Buffer =>
          bytes.subarray(0, Math.floor(at * (bytes.length + 1))),
    ),
    fc
      .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 200 }))
      .map(([at, junk]) => (bytes: Buffer): Buffer => {
        const index = Math.floor(at * (bytes.length + 1));
        return Buffer.concat([bytes.subarray(0, index), junk, bytes.subarray(index)]);
      }),
    fc.constantFrom(...corpus).map(
      (other) =>
        (bytes: Buffer): Buffer =>
          Buffer.concat([bytes, other]),
    ),
  );
  return fc
    .tuple(fc.constantFrom(...corpus), fc.array(change, { minLength: 1, maxLength: 5 }))
    .map(([piece, changes]) => changes.reduce((bytes, next) => next(bytes), piece));
}
