import type { AnswerLog, AnswerMeta, AnswerOutcome, AnswerReader } from "../../src/chat/answer-log.ts";

export interface AnswerLogOptions {
  readonly maxAnswerBytes: number;
  readonly budgetBytes: number;
  /** Share of the budget that is reserved for each class of accounts. */
  readonly reservedShare: number;
  readonly retentionMs: number;
}

export interface AnswerLogUnderTest {
  readonly log: AnswerLog;
  /** Bytes that the log counts as used. */
  bytes(): number;
  /** Lets `ms` milliseconds pass for the log. */
  pass(ms: number): Promise<void>;
  close?(): Promise<void>;
}

let serial = 0;

/** Meta of a new answer; owned by `sub:a` by default. */
export function metaOf(changes: Partial<AnswerMeta> = {}): AnswerMeta {
  const answer = `answer-${++serial}`;
  return {
    answer,
    id: answer,
    client: "sub:a",
    accountKey: "sub:a",
    conversation: "c",
    command: null,
    ...changes,
  };
}

/** A normal outcome. */
export const done: AnswerOutcome = {
  type: "message",
  finishReason: "stop",
  usage: { promptTokens: 1, completionTokens: 2, cachedTokens: 0 },
  context: { tokens: 3, limit: 100 },
  provider: "local",
  model: "m",
  timings: { queueMs: 0, firstTokenMs: 1, totalMs: 2 },
};

/** Finds an answer. @throws Error when there is none. */
export async function found(log: AnswerLog, { client, answer }: AnswerMeta): Promise<AnswerReader> {
  const reader = await log.find(client, answer);
  if (reader === undefined) throw new Error(`no answer ${answer}`);
  return reader;
}
