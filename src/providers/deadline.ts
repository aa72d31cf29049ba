import type { Clock } from "../core/clock.ts";
import { ProviderError } from "./provider-error.ts";
import type { ChatProvider, ChatRequest, StreamPart } from "./provider.ts";

/**
 * Gives each answer of a provider a total time, counted from its `started` part: the time in a queue is not the
 * answer's. When it is over the work behind is stopped and the stream throws `provider_timeout`.
 *
 * It relies on the port's promise that a stream ends soon after its signal aborts, which the contract suite holds for
 * every provider.
 *
 * @param ms milliseconds, > 0
 */
export function withDeadline(provider: ChatProvider, ms: number, clock: Clock): ChatProvider {
  async function* stream(
    request: ChatRequest,
    options: { signal: AbortSignal },
  ): AsyncGenerator<StreamPart, void> {
    const caller = options.signal;
    caller.throwIfAborted();
    // AbortSignal.any would be shorter; on Node 20 it keeps signals alive that should be collected.
    const inner = new AbortController();
    const onAbort = () => inner.abort(caller.reason);
    const onTime = () => {
      const message = `The ${provider.name} back end took longer than ${ms / 1000} s for its answer (AI_TIMEOUT_SECONDS).`;
      inner.abort(new ProviderError(provider.name, "provider_timeout", message));
    };
    let stopTimer: (() => void) | undefined;
    caller.addEventListener("abort", onAbort, { once: true });
    try {
      for await (const part of provider.stream(request, { signal: inner.signal })) {
        if (part.type === "started") stopTimer ??= clock.after(ms, onTime);
        yield part;
      }
    } finally {
      stopTimer?.();
      caller.removeEventListener("abort", onAbort);
    }
  }
  return {
    name: provider.name,
    remote: provider.remote,
    stream,
    prepare: (beginning) => provider.prepare?.(beginning),
    describe: () => provider.describe(),
    countTokens: (text) => provider.countTokens(text),
    health: () => provider.health(),
    close: () => provider.close(),
  };
}
