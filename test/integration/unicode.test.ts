import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";

const SOCKETS = 20;
const FRAMES = 10_000;

/** A seeded random generator (mulberry32), so that a failing text can be reproduced. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Ranges of code points: all planes, and the ranges whose strings V8 stores with one byte per character. */
const RANGES: readonly (readonly [first: number, last: number])[] = [
  [0x21, 0x7e],
  [0xa1, 0xff],
  [0x100, 0x7ff],
  [0x800, 0xd7ff],
  [0xd800, 0xdfff],
  [0xe000, 0xffff],
  [0x1_0000, 0x1_ffff],
  [0x2_0000, 0x10_ffff],
];

/** Refused in a message, since UTF-8 cannot encode it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

const ENDS = ["message", "error"];

/** A text with characters from one range or from all. It begins with a letter, so that it is not a command. */
function randomText(random: (below: number) => number): string {
  const only = random(RANGES.length * 2);
  const chars = Array.from({ length: 1 + random(60) }, () => {
    const [first, last] = RANGES[only < RANGES.length ? only : random(RANGES.length)] as readonly [
      number,
      number,
    ];
    return String.fromCodePoint(first + random(last - first + 1));
  });
  return `x${chars.join("")}x`;
}

/**
 * Regression test: on Node.js 24, a uWebSockets.js binary wrote Latin-1, so clients closed the connection on every "é".
 */
describe("text of all Unicode planes", () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      RATE_LIMITS: "off",
      MAX_HISTORY_BYTES: "1024",
      MAX_BAD_FRAMES: "100000",
    });
  });
  afterAll(() => service.stop());

  it.each(["", "?stream=true"])(
    `is returned unchanged in ${FRAMES} answers, and no socket closes: /ws/chat%s`,
    async (query) => {
      await Promise.all(
        Array.from({ length: SOCKETS }, async (_, socketIndex) => {
          const random = randomFrom(socketIndex + 1);
          const chat = await ChatSocket.greeted(`${service.url}/ws/chat${query}`);
          for (let index = 0; index < FRAMES / SOCKETS; index++) {
            const message = randomText(random);
            const id = `m${index}`;
            const seen = chat.frames.length;
            // Half of the frames are escaped to ASCII, as Python's encoder does. A lone surrogate needs an escape.
            const json = JSON.stringify({ message, id });
            chat.send(index % 2 === 0 ? json : json.replaceAll(/[^\0-\x7f]/g, escaped));
            const end = await chat.next((frame) => frame["id"] === id && ENDS.includes(frame.type), seen);
            if (LONE_SURROGATE.test(message)) {
              expect(end).toMatchObject({ type: "error", code: "bad_frame" });
              continue;
            }
            expect(end["content"]).toBe(message);
            if (query !== "") expect(chat.streamed(end["answer"])).toBe(message);
          }
          expect(chat.isClosed).toBe(false);
          await chat.close();
        }),
      );
    },
    180_000,
  );
});

/** A UTF-16 code unit as JSON escapes it. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
