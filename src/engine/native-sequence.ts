import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from "node-llama-cpp";
import type { EngineSequence, GenerateOptions } from "./engine-port.ts";

const PENALTY_TOKENS = 64;

/** A sequence of node-llama-cpp as the loop sees it. */
export class NativeSequence implements EngineSequence {
  readonly id: number;
  private readonly sequence: LlamaContextSequence;
  private readonly vocabulary: number;

  /** `vocabulary`: number of token ids; an id past it would fail every sequence of the batch. */
  constructor(id: number, sequence: LlamaContextSequence, vocabulary: number) {
    this.id = id;
    this.sequence = sequence;
    this.vocabulary = vocabulary;
  }

  get length(): number {
    return this.sequence.nextTokenIndex;
  }

  tokens(): readonly number[] {
    return this.sequence.contextTokens;
  }

  commonPrefix(tokens: readonly number[]): number {
    return this.sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex;
  }

  async truncate(count: number): Promise<void> {
    const end = this.sequence.nextTokenIndex;
    if (count < end) await this.sequence.eraseContextTokenRanges([{ start: count, end }]);
  }

  async prefill(tokens: readonly number[]): Promise<void> {
    this.check(tokens);
    await this.sequence.evaluateWithoutGeneratingNewTokens(tokens as Token[]);
  }

  async save(path: string): Promise<number> {
    return (await this.sequence.saveStateToFile(path)).fileSize;
  }

  /** The file is of this very process and model, so what the library warns of cannot be. */
  load(path: string): Promise<void> {
    return this.sequence.loadStateFromFile(path, { acceptRisk: true });
  }

  generate(tokens: readonly number[], options: GenerateOptions): AsyncIterator<number, void, void> {
    this.check(tokens);
    const { temperature, topP, topK, minP, seed, repeatPenalty } = options.sampling;
    return this.sequence.evaluate(tokens as Token[], {
      temperature,
      topP,
      topK,
      minP,
      seed,
      ...(repeatPenalty > 1 && {
        repeatPenalty: {
          penalty: repeatPenalty,
          punishTokens: () => options.recentTokens() as Token[],
          maxPunishTokens: PENALTY_TOKENS,
        },
      }),
      ...(options.grammarState && {
        grammarEvaluationState: options.grammarState as LlamaGrammarEvaluationState,
      }),
    });
  }

  private check(tokens: readonly number[]): void {
    for (const token of tokens) {
      if (!Number.isInteger(token) || token < 0 || token >= this.vocabulary) {
        throw new RangeError(`token ${token} is not in the vocabulary of ${this.vocabulary}`);
      }
    }
  }
}
