import type { ChatProvider, ChatRequest, CountOptions } from "../../src/providers/provider.ts";
import { partsOf, type SeenPart } from "./parts-of.ts";

/** A chat request with default values and one user message. */
export function chatRequest(message: string, changes: Partial<ChatRequest> = {}): ChatRequest {
  return {
    system: "You are a helpful assistant.",
    context: null,
    turns: [{ role: "user", content: message }],
    maxTokens: 256,
    sampling: {},
    principal: { authenticated: false, client: "anon:a", publicId: "a", accountKey: "addr:127.0.0.1" },
    conversation: "anon:a/main",
    ...changes,
  };
}

/** Reads a stream to its end. */
export async function collect(stream: AsyncIterable<SeenPart>): Promise<SeenPart[]> {
  const parts: SeenPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

/** The text of an answer. */
export function textOf(parts: readonly SeenPart[]): string {
  return parts.map((part) => (part.type === "text-delta" ? part.text : "")).join("");
}

/** All parts of a provider's answer to a request. */
export async function answerOf(
  provider: ChatProvider,
  request: ChatRequest,
  signal: AbortSignal = new AbortController().signal,
): Promise<SeenPart[]> {
  return collect(partsOf(provider, request, { signal }));
}

/** Options to count tokens for the client of {@link chatRequest}. */
export const countOptions: CountOptions = {
  principal: chatRequest("").principal,
  signal: new AbortController().signal,
};
