import { expect } from "vitest";
import type { Frame } from "./fake-socket.ts";

/** Expects that the offsets of token frames have no gap and match their text, and returns the whole text. */
export function tokenText(frames: readonly Frame[]): string {
  let offset = 0;
  let text = "";
  for (const frame of frames) {
    if (frame["type"] !== "token") continue;
    expect(frame["from"]).toBe(offset);
    const content = String(frame["content"]);
    offset += Buffer.byteLength(content);
    expect(frame["to"]).toBe(offset);
    expect(content).not.toBe("");
    text += content;
  }
  return text;
}
