import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../src/core/error-codes.ts";
import { ProviderError } from "../../src/providers/provider-error.ts";
import { chatRequest, textOf } from "./chat-request.ts";
import { event } from "./fault-scripts.ts";
import { startFaultServer, type FaultScript, type FaultServer } from "./fault-server.ts";
import { partsOf, type SeenPart } from "./parts-of.ts";
import { remoteNames, remoteProvider } from "./remote-provider.ts";

/** A whole answer. */
interface ExpectedAnswer {
  readonly text: string;
  readonly reason?: "stop" | "length";
}

/** An error, after the text so far. */
interface ExpectedError {
  readonly code: ErrorCode;
  readonly text?: string;
  /** Part of the operator's message. */
  readonly says?: string | RegExp;
  /** What the operator's message must not hold: advice for another fault. */
  readonly never?: string | RegExp;
  readonly retryAfterMs?: number;
}

/** What comes of a response. */
export type Expected = ExpectedAnswer | ExpectedError;

/** One row: the server that sends it, what it sends, and what comes of it. */
export type DialectRow = readonly [server: string, shape: string, script: FaultScript, expected: Expected];

/** One chunk of a stream with one choice. */
export function chunk(choice: object, more: object = {}): string {
  return event({ object: "chat.completion.chunk", choices: [{ index: 0, ...choice }], ...more });
}

/** A chunk with a text and, if given, a finish reason. */
export function piece(content: string, finish_reason: unknown = null): string {
  return chunk({ delta: { content }, finish_reason });
}

/** A stream of these texts, in separate writes. */
export function stream(...texts: readonly string[]): FaultScript {
  return { steps: texts.map((send) => ({ send })) };
}

/** A whole body with a content type; null: without one. */
export function body(text: string, type: string | null = "application/json", status = 200): FaultScript {
  return { status, headers: type === null ? {} : { "content-type": type }, steps: [{ send: text }] };
}

/** A JSON body with a status. */
export function json(status: number, value: unknown): FaultScript {
  return body(JSON.stringify(value), "application/json", status);
}

async function outcomeOf(name: (typeof remoteNames)[number], baseUrl: string) {
  const provider = remoteProvider(name, baseUrl);
  const parts: SeenPart[] = [];
  try {
    for await (const part of partsOf(provider, chatRequest("Hi"))) parts.push(part);
    return { parts, thrown: undefined };
  } catch (thrown) {
    return { parts, thrown };
  } finally {
    await provider.close();
  }
}

function checkError(thrown: unknown, expected: ExpectedError): void {
  expect(thrown).toBeInstanceOf(ProviderError);
  const { code, message, retryable, retryAfterMs, clientMessage } = thrown as ProviderError;
  expect({ code, retryable }).toEqual({
    code: expected.code,
    retryable: errorCodes[expected.code].retryable,
  });
  if (expected.says !== undefined) expect(message).toMatch(expected.says);
  if (expected.never !== undefined) expect(message).not.toMatch(expected.never);
  if (expected.retryAfterMs !== undefined) expect(retryAfterMs).toBe(expected.retryAfterMs);
  expect(clientMessage).not.toMatch(/API_KEY|BASE_URL|\/v1/);
}

/** Plays each row on a real HTTP server for each remote provider. */
export function describeDialects(what: string, rows: readonly DialectRow[]): void {
  describe.each(remoteNames)(`the %s provider reads ${what} of`, (name) => {
    let server: FaultServer;

    beforeAll(async () => void (server = await startFaultServer()));
    afterAll(() => server.close());

    it.each(rows)("%s: %s", async (_server, _shape, script, expected) => {
      server.play(script);
      const { parts, thrown } = await outcomeOf(name, server.baseUrl);
      if ("code" in expected) {
        checkError(thrown, expected);
        expect(textOf(parts)).toBe(expected.text ?? "");
        return;
      }
      expect(thrown).toBeUndefined();
      expect(textOf(parts)).toBe(expected.text);
      expect(parts.at(-1)).toMatchObject({ type: "finish", reason: expected.reason ?? "stop" });
    });
  });
}
