import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from "node-llama-cpp";
import type { Drawn, EngineSequence, GenerateOptions, TokenIterator } from "../ports.ts";

/** Length of the window of the repeat penalty, in tokens. */
const PENALTY_TOKENS = 64;

/** Implements the loop's sequence port with node-llama-cpp. */
export class NativeSequence implements EngineSequence {
  readonly id: number;
  readonly #sequence: LlamaContextSequence;
  readonly #vocabularySize: number;

  /** @param vocabularySize number of token ids; a larger id would fail every sequence of the batch */
  constructor(id: number, sequence: LlamaContextSequence, vocabularySize: number) {
    this.id = id;
    this.#sequence = sequence;
    this.#vocabularySize = vocabularySize;
  }

  /** Whether the end can be erased. Otherwise, to erase it, the remaining tokens are processed again. */
  get erasable(): boolean {
    return !this.#sequence.needsCheckpoints;
  }

  get length(): number {
    return this.#sequence.nextTokenIndex;
  }

  tokens(): readonly number[] {
    return this.#sequence.contextTokens;
  }

  commonPrefix(tokens: readonly number[]): number {
    return this.#sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex;
  }

  async truncate(count: number): Promise<void> {
    const end = this.#sequence.nextTokenIndex;
    if (count < end) await this.#sequence.eraseContextTokenRanges([{ start: count, end }]);
  }

  async prefill(tokens: readonly number[]): Promise<void> {
    this.#checkTokens(tokens);
    await this.#sequence.evaluateWithoutGeneratingNewTokens(tokens as Token[]);
  }

  async save(path: string): Promise<number> {
    return (await this.#sequence.saveStateToFile(path)).fileSize;
  }

  /** Loads a file that this process wrote with the same model, so the risk that the library warns of does not apply. */
  load(path: string): Promise<void> {
    return this.#sequence.loadStateFromFile(path, { acceptRisk: true });
  }

  generate(tokens: readonly number[], options: GenerateOptions): TokenIterator {
    this.#checkTokens(tokens);
    return this.#sequence.evaluate(tokens as Token[], {
      ...drawOptions(options, () => options.recentTokens()),
      ...(options.grammarState && {
        grammarEvaluationState: options.grammarState as LlamaGrammarEvaluationState,
      }),
    }) as TokenIterator;
  }

  /**
   * Does not use the library's token predictors. They accept only one of several guesses, because their list of
   * validated tokens stays empty, and their repeat penalty ignores a guess that another one follows.
   */
  async verify(
    tokens: readonly number[],
    guesses: readonly number[],
    options: GenerateOptions,
  ): Promise<Drawn> {
    const all = [...tokens, ...guesses];
    this.#checkTokens(all);
    const start = this.length;
    const first = tokens.length - 1;
    const recent = [...options.recentTokens(), ...guesses];
    const before = recent.length - guesses.length - first;
    const outputs = await this.#sequence.controlledEvaluate(
      all.map((token, index) => {
        if (index < first) return token as Token;
        const draw = drawOptions(options, () => recent.slice(0, before + index).slice(-PENALTY_TOKENS));
        return [token as Token, { generateNext: { token: true, options: draw } }];
      }),
    );
    const drawn: number[] = [];
    for (let index = first; ; index++) {
      const token = outputs[index]?.next.token;
      if (token === undefined || token === null) throw new Error("no token could be drawn");
      const ended = this.#sequence.model.isEogToken(token);
      if (!ended) drawn.push(token);
      if (!ended && token === all[index + 1]) continue;
      await this.truncate(start + index + 1);
      return { tokens: drawn, ended };
    }
  }

  #checkTokens(tokens: readonly number[]): void {
    for (const token of tokens) {
      if (!Number.isInteger(token) || token < 0 || token >= this.#vocabularySize) {
        throw new RangeError(`token ${token} is not in the vocabulary of ${this.#vocabularySize}`);
      }
    }
  }
}

function drawOptions({ sampling }: GenerateOptions, recentTokens: () => readonly number[]) {
  const { temperature, topP, topK, minP, seed, repeatPenalty } = sampling;
  return {
    temperature,
    topP,
    topK,
    minP,
    seed,
    ...(repeatPenalty > 1 && {
      repeatPenalty: {
        penalty: repeatPenalty,
        punishTokens: () => recentTokens() as Token[],
        maxPunishTokens: PENALTY_TOKENS,
      },
    }),
  };
}
