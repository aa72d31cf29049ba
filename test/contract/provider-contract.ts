import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf, countOptions } from "../support/chat-request.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

/** A provider under test, with control over its answers as far as its kind allows. */
export interface ProviderUnderTest {
  readonly provider: ChatProvider;
  /** A message whose answer takes seconds, unless {@link slow} is enough. */
  readonly longMessage?: string;
  /** Makes later answers slow (many tokens with pauses), so that they can be cancelled in the middle. */
  slow(): void;
  /**
   * Resolves when the work for the last stream has stopped. Omitted for providers whose work cannot be observed from
   * outside.
   */
  upstreamStopped?(): Promise<void>;
  /** Releases everything but the provider. */
  close?(): Promise<void>;
}

/** Milliseconds within which a cancelled stream must throw. Slow answers take longer, however busy the machine is. */
const CANCEL_MS = 4000;

export interface ContractOptions {
  /** Whether an answer contains the text of the message, which reveals mixed-up answers; default true. */
  readonly repeatsMessage?: boolean;
  /** Timeout of each test in milliseconds; default 30,000. */
  readonly timeoutMs?: number;
}

const moodSchema = {
  type: "object",
  properties: { mood: { enum: ["good", "bad"] } },
  required: ["mood"],
  additionalProperties: false,
};

const reason = new Error("the caller's own reason");

function within<T>(ms: number, promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** Runs the suite of the port `ChatProvider` on one implementation. */
export function providerContract(
  name: string,
  make: () => Promise<ProviderUnderTest>,
  options: ContractOptions = {},
): void {
  const { repeatsMessage = true, timeoutMs = 30_000 } = options;

  describe(`${name} implements ChatProvider:`, { timeout: timeoutMs }, () => {
    let subject: ProviderUnderTest;
    let provider: ChatProvider;

    beforeEach(async () => {
      subject = await make();
      provider = subject.provider;
    }, timeoutMs);

    afterEach(async () => {
      await provider.close();
      await subject.close?.();
    }, timeoutMs);

    const until = async (type: SeenPart["type"], stream: AsyncIterator<SeenPart>): Promise<SeenPart> => {
      for (;;) {
        const { done, value } = await stream.next();
        if (done === true) throw new Error(`the stream ended before ${type}`);
        if (value.type === type) return value;
      }
    };
    const longMessage = () => subject.longMessage ?? "Tell me a long story";
    const open = (controller: AbortController, message = longMessage()) =>
      partsOf(provider, chatRequest(message), { signal: controller.signal });
    const stopped = async () => {
      if (subject.upstreamStopped) await within(CANCEL_MS, subject.upstreamStopped(), "stopping the work");
    };

    it("emits `started` once before any text and finishes once at the end", async () => {
      const parts = await answerOf(provider, chatRequest("Say something nice"));
      const types = parts.map(({ type }) => type);
      expect(types.filter((type) => type === "started")).toHaveLength(1);
      expect(types.filter((type) => type === "finish")).toHaveLength(1);
      expect(types.at(-1)).toBe("finish");
      expect(types).toContain("text-delta");
      expect(types.indexOf("started")).toBeLessThan(types.indexOf("text-delta"));
      expect(types.lastIndexOf("queued")).toBeLessThan(types.indexOf("started"));
    });

    it("names the provider and its model in `started`", async () => {
      const parts = await answerOf(provider, chatRequest("Hello"));
      const started = parts.find(({ type }) => type === "started");
      expect(started).toMatchObject({
        provider: provider.name,
        model: provider.describe().model,
        droppedTurns: 0,
      });
    });

    it("emits whole characters with their number of tokens", async () => {
      const parts = await answerOf(
        provider,
        chatRequest("\u{1f600} na\u00efve \u4f60\u597d \u{1f468}\u200d\u{1f469}"),
      );
      const deltas = parts.filter((part) => part.type === "text-delta");
      for (const { text, tokens } of deltas) {
        expect(text).not.toBe("");
        expect(isWellFormed(text)).toBe(true);
        expect(Number.isInteger(tokens) && tokens >= 0).toBe(true);
      }
      expect(deltas.reduce((sum, { tokens }) => sum + tokens, 0)).toBeGreaterThan(0);
    });

    it("reports the usage of the whole answer", async () => {
      const parts = await answerOf(provider, chatRequest("Count to three"));
      const finish = parts.at(-1);
      if (finish?.type !== "finish") throw new Error("no finish");
      expect(["stop", "length"]).toContain(finish.reason);
      const { promptTokens, completionTokens, cachedTokens } = finish.usage;
      for (const count of [promptTokens, completionTokens, cachedTokens]) {
        expect(Number.isInteger(count) && count >= 0).toBe(true);
      }
      expect(promptTokens).toBeGreaterThan(0);
      expect(completionTokens).toBeGreaterThan(0);
      expect(cachedTokens).toBeLessThanOrEqual(promptTokens);
    });

    it("throws the reason of a signal that is aborted already", async () => {
      const controller = new AbortController();
      controller.abort(reason);
      await expect(within(CANCEL_MS, open(controller).next(), "throwing")).rejects.toBe(reason);
    });

    it("throws the signal's reason if it is aborted between `started` and the first text", async () => {
      subject.slow();
      const controller = new AbortController();
      const stream = open(controller);
      await until("started", stream);
      const next = until("finish", stream);
      controller.abort(reason);
      await expect(within(CANCEL_MS, next, "throwing")).rejects.toBe(reason);
    });

    it("throws the signal's reason and stops the work if it is aborted in the middle of the text", async () => {
      subject.slow();
      const controller = new AbortController();
      const stream = open(controller);
      await until("text-delta", stream);
      const next = until("finish", stream);
      controller.abort(reason);
      await expect(within(CANCEL_MS, next, "throwing")).rejects.toBe(reason);
      await stopped();
    });

    it("stops the work at once if it is aborted while no reader waits", async () => {
      subject.slow();
      const controller = new AbortController();
      const stream = open(controller);
      await until("text-delta", stream);
      controller.abort(reason);
      await stopped();
      await expect(stream.next()).rejects.toBe(reason);
    });

    it("emits no further part and stops the work if it is aborted from onPart", async () => {
      subject.slow();
      const controller = new AbortController();
      const seen: string[] = [];
      const answer = provider.stream(chatRequest(longMessage()), {
        signal: controller.signal,
        onPart: ({ type }) => {
          seen.push(type);
          if (type === "text-delta") controller.abort(reason);
        },
      });
      await expect(answer).rejects.toBe(reason);
      expect(seen.indexOf("text-delta")).toBe(seen.length - 1);
      await stopped();
    });

    it("ends only the answer whose reader throws", async () => {
      const fault = new Error("a fault of the reader");
      const other = answerOf(provider, chatRequest("Keep going"));
      const answer = provider.stream(chatRequest(longMessage()), {
        signal: new AbortController().signal,
        onPart: ({ type }) => {
          if (type === "text-delta") throw fault;
        },
      });
      await expect(answer).rejects.toThrow(/fault/);
      expect((await other).at(-1)?.type).toBe("finish");
      // The provider must still work afterwards.
      const again = new AbortController();
      expect(await until("text-delta", open(again))).toMatchObject({ type: "text-delta" });
      again.abort(reason);
    });

    it("does not affect other streams if one is aborted", async () => {
      const controller = new AbortController();
      const aborted = provider.stream(chatRequest(longMessage()), {
        signal: controller.signal,
        onPart: ({ type }) => {
          if (type === "started") controller.abort(reason);
        },
      });
      const other = answerOf(provider, chatRequest("Keep going"));
      await expect(aborted).rejects.toBe(reason);
      expect((await other).at(-1)?.type).toBe("finish");
    });

    it("does not mix up answers that run at the same time", async () => {
      const messages = Array.from({ length: 8 }, (_, index) => `word${index} `.repeat(index + 3));
      const answers = await Promise.all(messages.map((text) => answerOf(provider, chatRequest(text))));
      for (const [index, parts] of answers.entries()) {
        expect(parts.at(-1)?.type).toBe("finish");
        expect(parts.filter(({ type }) => type === "started")).toHaveLength(1);
        if (repeatsMessage) expect(textOf(parts)).toBe(messages[index]);
      }
    });

    it("answers with JSON that satisfies a requested schema", async () => {
      const parts = await answerOf(provider, chatRequest("How was it?", { jsonSchema: moodSchema }));
      expect(["good", "bad"]).toContain((JSON.parse(textOf(parts)) as { mood: unknown }).mood);
      expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
    });

    it("continues after the text of another provider", async () => {
      const request = chatRequest("Count to three", { continueFrom: "One, two" });
      const types = (await answerOf(provider, request)).map(({ type }) => type);
      expect(types.filter((type) => type === "started")).toHaveLength(1);
      expect(types.at(-1)).toBe("finish");
    });

    it("counts tokens", async () => {
      expect(await provider.countTokens("", countOptions)).toBe(0);
      const few = await provider.countTokens("Hello", countOptions);
      const many = await provider.countTokens(
        "Hello there, this is a longer text. ".repeat(10),
        countOptions,
      );
      expect(few).toBeGreaterThan(0);
      expect(many).toBeGreaterThan(few);
      expect(Number.isInteger(few) && Number.isInteger(many)).toBe(true);
    });

    it("describes its model, window and name", () => {
      const { model, contextTokens } = provider.describe();
      expect(model).not.toBe("");
      expect(Number.isInteger(contextTokens) && contextTokens > 0).toBe(true);
      expect(["local", "openai", "huggingface", "echo"]).toContain(provider.name);
      expect(typeof provider.remote).toBe("boolean");
    });

    it("is ready without a reason after an answer", async () => {
      await answerOf(provider, chatRequest("Hello"));
      expect(provider.health()).toEqual({ state: "ready", reason: "" });
    });

    it("ends running answers and rejects new ones once it is closed", async () => {
      subject.slow();
      const stream = open(new AbortController());
      await until("text-delta", stream);
      const rest = until("finish", stream).catch((thrown: unknown) => thrown);
      await provider.close();
      const error = await within(CANCEL_MS, rest, "ending");
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ provider: provider.name });
      await expect(open(new AbortController()).next()).rejects.toMatchObject({ provider: provider.name });
      expect(provider.health().state).toBe("down");
    });
  });
}
