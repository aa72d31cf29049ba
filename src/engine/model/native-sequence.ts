import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from "node-llama-cpp";
import type { Drawn, EngineSequence, GenerateOptions, TokenIterator } from "../ports.ts";

const PENALTY_TOKENS = 64;

/** A sequence of node-llama-cpp as the loop sees it. */
export class NativeSequence implements EngineSequence {
  readonly id: number;
  readonly #sequence: LlamaContextSequence;
  readonly #vocabulary: number;

  /** `vocabulary`: number of token ids; an id past it would fail every sequence of the batch. */
  constructor(id: number, sequence: LlamaContextSequence, vocabulary: number) {
    this.id = id;
    this.#sequence = sequence;
    this.#vocabulary = vocabulary;
  }

  /** Whether its end can be erased: otherwise erasing means to process what is left once more. */
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
    this.#check(tokens);
    await this.#sequence.evaluateWithoutGeneratingNewTokens(tokens as Token[]);
  }

  async save(path: string): Promise<number> {
    return (await this.#sequence.saveStateToFile(path)).fileSize;
  }

  /** The file is of this very process and model, so what the library warns of cannot be. */
  load(path: string): Promise<void> {
    return this.#sequence.loadStateFromFile(path, { acceptRisk: true });
  }

  generate(tokens: readonly number[], options: GenerateOptions): TokenIterator {
    this.#check(tokens);
    return this.#sequence.evaluate(tokens as Token[], {
      ...drawOptions(options, () => options.recentTokens()),
      ...(options.grammarState && {
        grammarEvaluationState: options.grammarState as LlamaGrammarEvaluationState,
      }),
    }) as TokenIterator;
  }

  /**
   * Not the library's own token predictors: of several guesses they take one (their list of validated tokens stays
   * empty), and the repeat penalty does not see a guess that another one follows.
   */
  async verify(
    tokens: readonly number[],
    guesses: readonly number[],
    options: GenerateOptions,
  ): Promise<Drawn> {
    const all = [...tokens, ...guesses];
    this.#check(all);
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

  #check(tokens: readonly number[]): void {
    for (const token of tokens) {
      if (!Number.isInteger(token) || token < 0 || token >= this.#vocabulary) {
        throw new RangeError(`token ${token} is not in the vocabulary of ${this.#vocabulary}`);
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
