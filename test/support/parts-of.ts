import type {
  AnswerPart,
  ChatRequest,
  Finish,
  StreamOptions,
  StreamPart,
} from "../../src/providers/provider.ts";

/** The end of an answer, as tests see it behind its parts. */
export type FinishPart = { readonly type: "finish" } & Finish;

/** What a stream came to, in order. */
export type SeenPart = StreamPart | FinishPart;

interface Streaming<Part> {
  stream(request: ChatRequest, options: StreamOptions<Part>): Promise<Finish>;
}

/**
 * An answer as something to read at the reader's own pace, its end as a last part. Who leaves early stops the work. What
 * was not read when the stream fails is dropped.
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
