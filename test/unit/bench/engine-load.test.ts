import { describe, expect, it } from "vitest";
import type { Answer, Ask, ChatTarget } from "../../bench/engine/chat-target.ts";
import { converse, keepAsking } from "../../bench/engine/load/chatting.ts";
import { exponential, poissonArrivals, seededRandom, wholeBetween } from "../../bench/engine/load/random.ts";
import { message, systemText } from "../../bench/engine/load/texts.ts";
import { etaErrors } from "../../bench/engine/scenarios/eta.ts";
import { AnswerRecorder } from "../../bench/engine/targets/answer-recorder.ts";
import { ServerSentEvents } from "../../bench/engine/targets/server-sent-events.ts";

describe("seeded load", () => {
  it("is equal for equal seeds and differs for different seeds", () => {
    const draw = (seed: number) => Array.from({ length: 5 }, seededRandom(seed));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(message(seededRandom(3), 40)).toBe(message(seededRandom(3), 40));
  });

  it("has Poisson arrivals with the requested rate", () => {
    const times = poissonArrivals(seededRandom(1), 5, 20_000);
    const gaps = times.map((at, index) => at - (times[index - 1] ?? 0));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(mean).toBeGreaterThan(195);
    expect(mean).toBeLessThan(205);
    // The standard deviation of exponential gaps equals their mean.
    expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1);
    expect(gaps.every((gap) => gap >= 0)).toBe(true);
    expect(() => poissonArrivals(seededRandom(1), 0, 1)).toThrow(RangeError);
  });

  it("draws integers from the whole range", () => {
    const random = seededRandom(2);
    const drawn = new Set(Array.from({ length: 200 }, () => wholeBetween(random, 3, 6)));
    expect([...drawn].toSorted((a, b) => a - b)).toEqual([3, 4, 5, 6]);
    expect(exponential(() => 0, 10)).toBeCloseTo(0);
  });

  it("generates texts with the requested number of words", () => {
    expect(message(seededRandom(1), 75).split(" ")).toHaveLength(75);
    expect(systemText(200).split(" ")).toHaveLength(200);
    expect(systemText(200)).toBe(systemText(200));
    expect(new Set(systemText(200).split(" ")).size).toBeGreaterThan(50);
  });
});

describe("server-sent events", () => {
  it("are parsed correctly for every chunk size", () => {
    const text = 'data: {"a":1}\n\n: a comment\r\nevent: x\ndata:{"b":"é"}\r\n\r\ndata: [DONE]\n\n';
    for (let size = 1; size <= text.length; size++) {
      const events = new ServerSentEvents();
      const out: string[] = [];
      for (let at = 0; at < text.length; at += size) out.push(...events.push(text.slice(at, at + size)));
      expect(out).toEqual(['{"a":1}', '{"b":"é"}', "[DONE]"]);
    }
  });
});

/** A target that answers at once with the number of turns it received. */
function scripted(asked: Ask[], onChat: () => void = () => {}): ChatTarget {
  return {
    name: "scripted",
    flags: {},
    pids: [],
    connect: async () => {},
    stop: async () => {},
    async chat(ask): Promise<Answer> {
      asked.push(ask);
      const recorder = new AnswerRecorder(ask);
      recorder.text(`answer ${ask.turns.length}`);
      onChat();
      return recorder.end(null, false);
    },
  };
}

const talk = { user: "u", conversation: "c", words: 20, tokens: 4, random: seededRandom(1) };

describe("simulated chats", () => {
  it("send all earlier turns with each message, and pause only between turns", async () => {
    const asked: Ask[] = [];
    let pauses = 0;
    const answers = await converse(scripted(asked), talk, 3, () => {
      pauses++;
      return 0;
    });
    expect(answers.map(({ text }) => text)).toEqual(["answer 1", "answer 3", "answer 5"]);
    expect(asked[2]?.turns.map(({ role }) => role)).toEqual([
      "user",
      "assistant",
      "user",
      "assistant",
      "user",
    ]);
    expect(asked[2]?.turns[1]?.content).toBe("answer 1");
    expect(asked[0]?.turns).toHaveLength(1);
    expect(pauses).toBe(2);
  });

  it("start new conversations until they are stopped", async () => {
    const asked: Ask[] = [];
    const stop = new AbortController();
    const target = scripted(asked, () => asked.length === 3 && stop.abort());
    const answers = await keepAsking(target, { ...talk, signal: stop.signal });
    expect(answers).toHaveLength(3);
    expect(asked.map(({ conversation, turns }) => [conversation, turns.length])).toEqual([
      ["c-1", 1],
      ["c-2", 1],
      ["c-3", 1],
    ]);
  });
});

describe("the error of an eta", () => {
  const answer: Answer = {
    user: "u",
    sentAt: 1000,
    textAt: [],
    endAt: 12_000,
    text: "",
    cancelled: false,
    usage: null,
    queued: [
      { at: 1000, etaMs: 5000 },
      { at: 2000, etaMs: null },
      { at: 6000, etaMs: 6000 },
      { at: 10_800, etaMs: 10 },
    ],
    queueMs: 10_000,
  };

  it("is relative to the remaining wait, for reported times and waits above the minimum", () => {
    expect(etaErrors(answer, 500)).toEqual([0.5, 0.2]);
    expect(etaErrors({ ...answer, queueMs: null }, 500)).toEqual([]);
  });
});
