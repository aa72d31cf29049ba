import type {
  AnswerPart,
  ChatRequest,
  Finish,
  StreamOptions,
  StreamPart,
} from "../../src/providers/provider.ts";

/** The end of an answer as a part, after all others. */
export type FinishPart = { readonly type: "finish" } & Finish;

/** A part of a stream as tests read it. */
export type SeenPart = StreamPart | FinishPart;

interface Streaming<Part> {
  stream(request: ChatRequest, options: StreamOptions<Part>): Promise<Finish>;
}

/**
 * Converts the callbacks of a stream to an async generator, with the finish as its last part. Returning early aborts
 * the stream. Parts that were not read when the stream fails are dropped.
 */
export async function* partsOf<Part extends AnswerPart = StreamPart>(
  provider: Streaming<Part>,
  request: ChatRequest,
  { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Part | FinishPart, void> {
  const leave = new AbortController();
  const onAbort = (): void => leave.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  let parts: (Part | FinishPart)[] = [];
  let failure: { readonly error: unknown } | null = null;
  let wake = (): void => {};
  const onPart = (part: Part): void => {
    parts.push(part);
    wake();
  };
  const whole = provider.stream(request, { signal: leave.signal, onPart }).then(
    (finish) => parts.push({ type: "finish", ...finish }),
    (error: unknown) => (failure = { error }),
  );
  const over = whole.then(() => wake());
  try {
    for (;;) {
      if (failure !== null) throw (failure as { readonly error: unknown }).error;
      const taken = parts;
      parts = [];
      for (const part of taken) {
        yield part;
        signal.throwIfAborted();
        if (part.type === "finish") return;
      }
      if (parts.length === 0 && failure === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    leave.abort();
    await over;
  }
}
