import { expect } from "vitest";
import type { ChatSocket, Frame } from "./chat-socket.ts";
import type { Service } from "./service.ts";

/** One answer with fallbacks, as received by a client. */
export interface SeenAnswer {
  readonly end: Frame;
  readonly fallbacks: readonly Frame[];
  /** Text of all token frames. Their offsets were checked to be contiguous. */
  readonly text: string;
  /** The text before the first fallback and after it. */
  readonly before: string;
  readonly after: string;
}

/** Reads one answer from the frames of a streaming socket, and asserts that no byte is missing or duplicated. */
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

/** All output of a service: its log and standard error. */
export function emitted(service: Service): string {
  return service.log.map((line) => JSON.stringify(line)).join("\n") + service.stderr();
}

/** Asserts that `text` contains none of the secrets, no stack trace and no credentials in a URL. */
export function expectNoSecrets(text: string, secrets: readonly string[]): void {
  for (const secret of secrets)
    expect(text.includes(secret), `${secret.slice(0, 6)}… was emitted`).toBe(false);
  expect(text).not.toMatch(/\n\s+at \S+ \(|\\n\s+at /);
  expect(text).not.toMatch(/\/\/[^/\s"]*:[^/\s"]*@/);
}
