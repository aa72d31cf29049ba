import { cutAtStop } from "../../core/stop-text.ts";
import type { ChatRequest } from "../provider.ts";
import { countEchoTokens, tokenStart, UNITS_PER_TOKEN } from "./echo-tokens.ts";
import { instanceOf } from "./schema-instance.ts";

/** Content of an echo answer. Depends on the request and the settings only. */
export interface EchoAnswer {
  readonly text: string;
  readonly reason: "stop" | "length";
}

/**
 * Repeats `text` to exactly `bytes` bytes of UTF-8. A last character that does not fit is replaced by dots.
 *
 * @param enoughUnits maximum number of UTF-16 units that the caller uses; the result may end after them
 */
export function repeatToBytes(text: string, bytes: number, enoughUnits: number): string {
  const unit = text === "" ? "." : text;
  const unitBytes = Buffer.byteLength(unit, "utf8");
  const times = Math.floor(bytes / unitBytes);
  const enough = Math.ceil(enoughUnits / unit.length);
  if (times > enough) return unit.repeat(enough);
  const rest = bytes - times * unitBytes;
  let tail = Buffer.from(unit, "utf8").subarray(0, rest).toString("utf8");
  while (Buffer.byteLength(tail, "utf8") > rest || tail.endsWith("\ufffd")) tail = tail.slice(0, -1);
  return unit.repeat(times) + tail + ".".repeat(rest - Buffer.byteLength(tail, "utf8"));
}

/**
 * Answers a request with the smallest instance of its schema, or with its last message repeated to `answerBytes` bytes
 * (0: the message itself). With `continueFrom`, returns the text after it, or all text if it is not a prefix.
 */
export function echoAnswer(request: ChatRequest, answerBytes: number): EchoAnswer {
  const { maxTokens, jsonSchema, continueFrom = "", sampling } = request;
  const message = request.turns.at(-1)?.content ?? "";
  let whole = message;
  if (jsonSchema) whole = JSON.stringify(instanceOf(jsonSchema));
  else if (answerBytes > 0) {
    const enoughUnits = continueFrom.length + (maxTokens + 2) * UNITS_PER_TOKEN;
    whole = repeatToBytes(message, answerBytes, enoughUnits);
  }
  const rest = whole.startsWith(continueFrom) ? whole.slice(continueFrom.length) : whole;
  const text = cutAtStop(rest, sampling.stop ?? []);
  if (countEchoTokens(text) <= maxTokens) return { text, reason: "stop" };
  return { text: text.slice(0, tokenStart(text, maxTokens)), reason: "length" };
}
