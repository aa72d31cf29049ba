import type {
  ChatProvider,
  ChatRequest,
  Finish,
  Forgotten,
  ProviderHealth,
  StreamOptions,
  StreamPart,
  Usage,
} from "../../src/providers/provider.ts";

type Event = { readonly part: StreamPart } | { readonly error: unknown } | { readonly finish: Finish };

/** One stream of a {@link ScriptedProvider}, driven by a test. */
export class ScriptedCall {
  readonly request: ChatRequest;
  readonly #provider: ChatProvider["name"];
  readonly #events: Event[] = [];
  #wake: (() => void) | null = null;
  #stopped = false;
  #tokens = 0;
  #reasoningTokens = 0;

  constructor(request: ChatRequest, provider: ChatProvider["name"] = "local") {
    this.request = request;
    this.#provider = provider;
  }

  /** Whether the work has ended, by completion or abort. */
  get stopped(): boolean {
    return this.#stopped;
  }

  queued(position: number, etaMs?: number): this {
    return this.#push({ part: { type: "queued", position, ...(etaMs !== undefined && { etaMs }) } });
  }

  progress(processed: number, total: number): this {
    return this.#push({ part: { type: "progress", processed, total } });
  }

  start(droppedTurns = 0): this {
    return this.#push({
      part: {
        type: "started",
        provider: this.#provider,
        model: "scripted",
        droppedTurns,
        promptTokens: 7,
      },
    });
  }

  say(...texts: readonly string[]): this {
    for (const text of texts) {
      this.#tokens++;
      this.#push({ part: { type: "text-delta", text, tokens: 1 } });
    }
    return this;
  }

  reason(...texts: readonly string[]): this {
    for (const text of texts) {
      this.#tokens++;
      this.#reasoningTokens++;
      this.#push({ part: { type: "reasoning-delta", text, tokens: 1 } });
    }
    return this;
  }

  finish(reason: "stop" | "length" = "stop", usage?: Usage): this {
    const reasoningTokens = this.#reasoningTokens;
    const counted = {
      promptTokens: 7,
      completionTokens: this.#tokens,
      cachedTokens: 0,
      ...(reasoningTokens > 0 && { reasoningTokens }),
    };
    return this.#push({ finish: { reason, usage: usage ?? counted } });
  }

  /** Emits a whole answer at once. */
  answer(...texts: readonly string[]): this {
    return this.start()
      .say(...texts)
      .finish();
  }

  fail(error: unknown): this {
    return this.#push({ error });
  }

  /** Plays the script. @throws the scripted error, or the signal's reason */
  async play({ signal, onPart }: StreamOptions<StreamPart>): Promise<Finish> {
    const wake = () => this.#wake?.();
    signal.addEventListener("abort", wake, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const event = this.#events.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        } else if ("part" in event) {
          onPart(event.part);
        } else if ("error" in event) {
          throw event.error;
        } else {
          return event.finish;
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#stopped = true;
    }
  }

  #push(event: Event): this {
    this.#events.push(event);
    this.#wake?.();
    return this;
  }
}

export interface ScriptedProviderOptions {
  /** Called for each new call. Without it, calls wait for the test. */
  readonly script?: (call: ScriptedCall, index: number) => void;
  readonly contextTokens?: number;
  /** Default `local`. */
  readonly name?: ChatProvider["name"];
  readonly continuation?: "prefilled" | "instructed";
}

/** A provider whose parts are emitted by a test, for faults and exact timing. A token has four characters. */
export class ScriptedProvider implements ChatProvider {
  readonly name: ChatProvider["name"];
  readonly remote: boolean;
  readonly continuation: "prefilled" | "instructed";
  /** All calls so far, oldest first. */
  readonly calls: ScriptedCall[] = [];
  /** Arguments of `forget`, in order. */
  readonly forgotten: Forgotten[] = [];
  readonly #options: ScriptedProviderOptions;

  constructor(options: ScriptedProviderOptions = {}) {
    this.#options = options;
    this.name = options.name ?? "local";
    this.remote = this.name === "openai" || this.name === "huggingface";
    this.continuation = options.continuation ?? (this.remote ? "instructed" : "prefilled");
  }

  /** The latest call. */
  get call(): ScriptedCall {
    const latest = this.calls.at(-1);
    if (latest === undefined) throw new Error("the provider received no request");
    return latest;
  }

  stream(request: ChatRequest, options: StreamOptions<StreamPart>): Promise<Finish> {
    const call = new ScriptedCall(request, this.name);
    this.calls.push(call);
    this.#options.script?.(call, this.calls.length - 1);
    return call.play(options);
  }

  forget(target: Forgotten): void {
    this.forgotten.push(target);
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return { model: "scripted", contextTokens: this.#options.contextTokens ?? 4096 };
  }

  countTokens(text: string): Promise<number> {
    return Promise.resolve(Math.ceil(text.length / 4));
  }

  health(): ProviderHealth {
    return { state: "ready", reason: "" };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
