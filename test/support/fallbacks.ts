import { expect } from "vitest";
import type { ChatSocket, Frame } from "./chat-socket.ts";
import type { Service } from "./service.ts";

/** What a client saw of one answer that went on with another provider. */
export interface SeenAnswer {
  readonly end: Frame;
  readonly fallbacks: readonly Frame[];
  /** All token frames together; that their offsets are contiguous was checked. */
  readonly text: string;
  /** The text before the first fallback and after it. */
  readonly before: string;
  readonly after: string;
}

/** Reads one answer from the frames of a socket that streams, and holds that no byte is missing or there twice. */
export function seenAnswer(socket: ChatSocket, end: Frame): SeenAnswer {
  const { answer } = end;
  const fallbacks = socket.frames.filter((frame) => frame.type === "fallback" && frame["answer"] === answer);
  const text = socket.streamed(answer);
  const at = (fallbacks[0]?.["at"] as number | undefined) ?? Buffer.byteLength(text);
  const bytes = Buffer.from(text);
  if (end.type === "message") expect(end["content"]).toBe(text);
  return {
    end,
    fallbacks,
    text,
    before: bytes.subarray(0, at).toString(),
    after: bytes.subarray(at).toString(),
  };
}

/** Everything that a service has emitted: its log and its standard error. */
export function emitted(service: Service): string {
  return service.log.map((line) => JSON.stringify(line)).join("\n") + service.stderr();
}

/** Holds that none of these texts, no stack and no credential of a URL is in what was emitted. */
export function expectNoSecrets(text: string, secrets: readonly string[]): void {
  for (const secret of secrets)
    expect(text.includes(secret), `${secret.slice(0, 6)}… was emitted`).toBe(false);
  expect(text).not.toMatch(/\n\s+at \S+ \(|\\n\s+at /);
  expect(text).not.toMatch(/\/\/[^/\s"]*:[^/\s"]*@/);
}
