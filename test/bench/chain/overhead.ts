import { parseArgs } from "node:util";
import type {
  AnswerPart,
  ChatProvider,
  ChatRequest,
  Finish,
  StreamOptions,
  StreamPart,
} from "../../../src/providers/provider.ts";
import { chainOf } from "../../support/chain.ts";
import { chatRequest } from "../../support/chat-request.ts";
import { machineFacts } from "../harness/machine.ts";
import { spreadOf, type Spread } from "../harness/statistics.ts";

/** The design's limit on the added time, in microseconds per token. */
const BAR_US = 5;

/** A provider with all tokens ready at once, so that only the code between it and its reader is measured. */
class ReadyProvider implements ChatProvider {
  readonly name = "echo";
  readonly remote = false;
  readonly continuation = "prefilled";
  readonly #tokens: number;

  constructor(tokens: number) {
    this.#tokens = tokens;
  }

  stream(_request: ChatRequest, { signal, onPart }: StreamOptions<StreamPart>): Promise<Finish> {
    onPart({ type: "started", provider: "echo", model: "ready", droppedTurns: 0 });
    for (let token = 0; token < this.#tokens; token++) {
      signal.throwIfAborted();
      onPart({ type: "text-delta", text: " word", tokens: 1 });
    }
    const usage = { promptTokens: 1, completionTokens: this.#tokens, cachedTokens: 0 };
    return Promise.resolve({ reason: "stop", usage });
  }

  describe(): { model: string; contextTokens: number } {
    return { model: "ready", contextTokens: 1_000_000 };
  }

  countTokens(text: string): Promise<number> {
    return Promise.resolve(text.length);
  }

  health(): { state: "ready"; reason: string } {
    return { state: "ready", reason: "" };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Reads a whole answer. @returns microseconds per token. @throws Error if a token is missing. */
async function read(source: Pick<ChatProvider, "stream">, tokens: number): Promise<number> {
  const request = chatRequest("Hi", { maxTokens: tokens });
  const begin = performance.now();
  let seen = 0;
  await source.stream(request, {
    signal: new AbortController().signal,
    onPart: (part: AnswerPart) => {
      if (part.type === "text-delta") seen += part.tokens;
    },
  });
  const ms = performance.now() - begin;
  if (seen !== tokens) throw new Error(`${seen} of ${tokens} tokens arrived`);
  return (ms * 1000) / tokens;
}

export interface Overhead {
  /** Microseconds per token. */
  readonly bare: Spread;
  readonly chained: Spread;
  /** Chain minus bare, pair by pair. */
  readonly added: Spread;
}

/** Reads the same answer directly and through a chain of one provider, alternating. */
export async function measureOverhead(pairs: number, tokens: number): Promise<Overhead> {
  const bare = new ReadyProvider(tokens);
  const chain = chainOf([bare]) as unknown as Pick<ChatProvider, "stream">;
  for (let warm = 0; warm < 3; warm++) {
    await read(bare, tokens);
    await read(chain, tokens);
  }
  const samples: { readonly bare: number; readonly chained: number }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    // The order alternates, so that neither always pays for the garbage of the other.
    if (pair % 2 === 0) {
      const first = await read(bare, tokens);
      samples.push({ bare: first, chained: await read(chain, tokens) });
    } else {
      const first = await read(chain, tokens);
      samples.push({ chained: first, bare: await read(bare, tokens) });
    }
  }
  return {
    bare: spreadOf(samples.map((sample) => sample.bare)),
    chained: spreadOf(samples.map((sample) => sample.chained)),
    added: spreadOf(samples.map((sample) => sample.chained - sample.bare)),
  };
}

/** `npm run bench -- chain`. @returns the exit code: 1 if the bar is missed */
export async function chainOverheadBench(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: "string", default: "31" },
      tokens: { type: "string", default: "50000" },
    },
  });
  const [pairs, tokens] = [Number(values.pairs), Number(values.tokens)];
  if (!(pairs >= 1 && tokens >= 1))
    throw new RangeError("--pairs and --tokens must be positive whole numbers.");
  const { bare, chained, added } = await measureOverhead(pairs, tokens);
  const { cpu, node, loadAtStart } = machineFacts();
  const line = (name: string, { median, least, most }: Spread): string =>
    `  ${name.padEnd(8)} ${median.toFixed(3)} µs per token (${least.toFixed(3)} to ${most.toFixed(3)})`;
  console.log(`chain: ${pairs} pairs of ${tokens} tokens; ${cpu}; Node.js ${node}; load ${loadAtStart}`);
  for (const text of [line("bare", bare), line("chained", chained), line("added", added)]) console.log(text);
  const met = added.median <= BAR_US;
  console.log(`Bar: at most ${BAR_US} µs per token: ${met ? "met" : "not met"}.`);
  return met ? 0 : 1;
}
