/** A turn of a conversation. The system text is the target's own affair: see {@link TargetSpec}. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface Ask {
  /** Who asks: a JWT subject of the service; other servers know no users. */
  readonly user: string;
  /** Unique among all users. */
  readonly conversation: string;
  /** The whole conversation; the last turn is the user's. The service keeps the others itself. */
  readonly turns: readonly Turn[];
  readonly maxTokens: number;
  /** Cancels the answer; it then ends with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What the server said about a wait. */
export interface QueuedNote {
  readonly at: number;
  readonly etaMs: number | null;
}

/** One answer as its client saw it. All times are those of `performance.now()`, in milliseconds. */
export interface Answer {
  readonly user: string;
  readonly sentAt: number;
  /** When each piece of text came; nearly always one token each. */
  readonly textAt: readonly number[];
  readonly endAt: number;
  readonly text: string;
  readonly cancelled: boolean;
  /** Null where the answer was cut before the server told. */
  readonly usage: AnswerUsage | null;
  readonly queued: readonly QueuedNote[];
  /** From arrival to the start of work as the server tells it; null where it does not. */
  readonly queueMs: number | null;
}

export interface AnswerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** What a scenario needs of a server. */
export interface TargetSpec {
  readonly slots: number;
  /** Tokens of a slot, prompt and answer together. */
  readonly contextTokens: number;
  readonly systemPrompt: string;
  /** Settings of the service beyond these; other servers have none. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A server that is measured, under the same load as all others. */
export interface ChatTarget {
  readonly name: string;
  /** How it was started, for the record. */
  readonly flags: Readonly<Record<string, string>>;
  /** Processes whose CPU time counts as the server's. */
  readonly pids: readonly number[];
  /** Makes everything ready that a user has open before the first message. */
  connect(users: readonly string[]): Promise<void>;
  /** @throws Error when the server refuses or fails. */
  chat(ask: Ask): Promise<Answer>;
  stop(): Promise<void>;
}

/** How tokens are drawn: the same on every target. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repeatPenalty: number;
}

export interface Model {
  readonly name: string;
  readonly path: string;
  readonly sampling: Sampling;
}
