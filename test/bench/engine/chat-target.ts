/** A turn of a conversation. The target adds the system text itself: see {@link TargetSpec}. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface Ask {
  /** The asking user: a JWT subject for the service. Other servers have no users and ignore it. */
  readonly user: string;
  /** Conversation id, unique among all users. */
  readonly conversation: string;
  /** The whole conversation; the last turn is the user's. The service stores the earlier turns itself. */
  readonly turns: readonly Turn[];
  readonly maxTokens: number;
  /** Cancels the answer, which then ends with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** A position notice of the server while a request waits. */
export interface QueuedNote {
  readonly at: number;
  readonly etaMs: number | null;
}

/** One answer as its client received it. All times are values of `performance.now()`, in milliseconds. */
export interface Answer {
  readonly user: string;
  readonly sentAt: number;
  /** Arrival time of each piece of text, nearly always one token. */
  readonly textAt: readonly number[];
  readonly endAt: number;
  readonly text: string;
  readonly cancelled: boolean;
  /** Null if the answer was cut before the server reported it. */
  readonly usage: AnswerUsage | null;
  readonly queued: readonly QueuedNote[];
  /** Milliseconds from arrival to the start of work, as the server reports it. Null if it does not. */
  readonly queueMs: number | null;
}

export interface AnswerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** The server configuration that a scenario needs. */
export interface TargetSpec {
  readonly slots: number;
  /** Tokens per slot, prompt and answer together. */
  readonly contextTokens: number;
  readonly systemPrompt: string;
  /** Further settings of the service. Other servers ignore them. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A server under measurement. All targets get the same load. */
export interface ChatTarget {
  readonly name: string;
  /** Start options, for the result file. */
  readonly flags: Readonly<Record<string, string>>;
  /** Processes whose CPU time counts as the server's. */
  readonly pids: readonly number[];
  /** Opens everything that a user has open before the first message. */
  connect(users: readonly string[]): Promise<void>;
  /** @throws Error if the server refuses the request or fails. */
  chat(ask: Ask): Promise<Answer>;
  stop(): Promise<void>;
}

/** Sampling parameters, the same on every target. */
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
