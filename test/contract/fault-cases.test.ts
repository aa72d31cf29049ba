import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { reportOf } from "../../src/core/errors.ts";
import { ProviderError } from "../../src/providers/provider-error.ts";
import { chatRequest, textOf } from "../support/chat-request.ts";
import {
  faultCases,
  startBadAddresses,
  userText,
  wordingCases,
  type BadAddress,
  type FaultCase,
} from "../support/fault-cases.ts";
import { answerText, answerTokens, slowDrip, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, remoteProvider, secretKey, type RemoteName } from "../support/remote-provider.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

/** Milliseconds without a part after which a request that stalls is stopped. Stands in for the chain's deadlines. */
const SILENCE_MS = 250;
/** The same while more parts are due. Looking up a name or a handshake takes long on a busy machine. */
const PATIENCE_MS = 10_000;

/** An expected stall: it begins when the request has been received and this text has arrived. */
interface Stall {
  readonly request: Promise<unknown>;
  readonly text: string;
}

async function run(
  name: RemoteName,
  baseUrl: string,
  stall?: Stall,
): Promise<{ parts: readonly SeenPart[]; thrown: unknown; health: string }> {
  const provider = remoteProvider(name, baseUrl);
  const controller = new AbortController();
  const expire = () =>
    controller.abort(new ProviderError(name, "provider_timeout", "no part arrived in time"));
  const parts: SeenPart[] = [];
  let received = false;
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    const stalls = received && textOf(parts) === stall?.text;
    timer = setTimeout(expire, stalls ? SILENCE_MS : PATIENCE_MS);
  };
  wait();
  void stall?.request.then(() => {
    received = true;
    wait();
  });
  try {
    for await (const part of partsOf(provider, chatRequest(userText), { signal: controller.signal })) {
      parts.push(part);
      wait();
    }
    return { parts, thrown: undefined, health: JSON.stringify(provider.health()) };
  } catch (thrown) {
    return { parts, thrown, health: JSON.stringify(provider.health()) };
  } finally {
    clearTimeout(timer);
    await provider.close();
  }
}

/** Codes of errors that may not occur at another time or with another provider. */
const retryable: ReadonlySet<string> = new Set([
  "bad_answer",
  "provider_unavailable",
  "provider_timeout",
  "provider_rate_limited",
]);

describe.each(remoteNames)("the %s provider maps", (name) => {
  let server: FaultServer;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());

  it.each([...faultCases, ...wordingCases])("$name ($when) to $outcome", async (fault) => {
    const { script, when, outcome } = fault;
    const printed = ["log", "info", "warn", "error", "debug"].map((method) =>
      vi.spyOn(console, method as "log").mockImplementation(() => undefined),
    );
    const before = server.requests.length;
    server.play(script);
    const beginning = when === "mid_stream" ? answerTokens.slice(0, 4).join("") : "";
    const stall = { request: server.request(before), text: beginning };
    const { parts, thrown, health } = await run(
      name,
      server.baseUrl,
      outcome === "provider_timeout" ? stall : undefined,
    );
    const text = textOf(parts);
    expect(answerText.startsWith(text)).toBe(true);
    expect(text !== "").toBe(when === "mid_stream");
    expect(server.requests).toHaveLength(before + 1);
    for (const spy of printed) expect(spy).not.toHaveBeenCalled();
    if (outcome === "whole") {
      expect(thrown).toBeUndefined();
      expect(text).toBe(answerText);
      expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
      return;
    }
    expect(thrown).toBeInstanceOf(ProviderError);
    expect(thrown).toMatchObject({ provider: name, code: outcome, ...expectedError(fault) });
    expect(parts.map(({ type }) => type)).not.toContain("finish");
    // No representation of the error may contain a key, the user's text, or parts of the upstream body.
    const errors = [inspect(thrown, { depth: 20, showHidden: true }), JSON.stringify(reportOf(thrown))];
    for (const shown of [...errors, health]) {
      for (const hidden of [secretKey, "xyzzy", "You sent", server.baseUrl])
        expect(shown).not.toContain(hidden);
    }
    await server.requests.at(-1)?.over;
    expect(server.running).toBe(0);
  });
});

/** Expected fields of the error in addition to its code. */
function expectedError({ script, outcome, fields }: FaultCase): object {
  const refused = script.status !== undefined && script.status >= 300;
  return { retryable: retryable.has(outcome), ...(refused && { status: script.status }), ...fields };
}

describe.each(remoteNames)("the %s provider reports provider_unavailable for", (name) => {
  let bad: Awaited<ReturnType<typeof startBadAddresses>>;
  const address = (index: number) => bad.addresses[index] as BadAddress;

  beforeAll(async () => void (bad = await startBadAddresses()));
  afterAll(() => bad.close());

  it.each([
    [0, "an untrusted certificate"],
    [1, "plain HTTP where TLS was expected"],
    [2, "a refused connection"],
    [3, "an unknown host"],
  ])("(%i) %s", async (index, what) => {
    const { name: kind, baseUrl, networkCode } = address(index);
    expect(kind).toBe(what);
    const url = baseUrl.replace("://", `://user:${secretKey}@`);
    const { parts, thrown } = await run(name, url);
    expect(textOf(parts)).toBe("");
    expect(thrown).toMatchObject({ provider: name, code: "provider_unavailable", retryable: true });
    if (networkCode !== undefined) expect((thrown as Error).message).toContain(networkCode);
    expect(inspect(thrown, { depth: 20, showHidden: true })).not.toContain(secretKey);
  });
});

describe("the fault server", () => {
  it("can go down in the middle of an answer, refuse connections, and come up at the same address", async () => {
    const server = await startFaultServer();
    server.play(slowDrip(20));
    const cut = run("openai", server.baseUrl);
    const seen = await server.request(0);
    await server.goDown();
    expect((await cut).thrown).toMatchObject({ provider: "openai", retryable: true });
    expect(seen.closedAt).toBeGreaterThanOrEqual(seen.arrivedAt);
    expect((await run("openai", server.baseUrl)).thrown).toMatchObject({ code: "provider_unavailable" });
    await server.comeUp();
    server.play(whole());
    expect(textOf((await run("openai", server.baseUrl)).parts)).toBe(answerText);
    await server.close();
  });

  it("can change its script while another one is playing", async () => {
    const server = await startFaultServer();
    server.play(slowDrip(10));
    const slow = run("openai", server.baseUrl);
    await server.request(0);
    server.play(status(503));
    expect((await run("openai", server.baseUrl)).thrown).toMatchObject({ status: 503 });
    server.play(whole());
    expect(textOf((await run("openai", server.baseUrl)).parts)).toBe(answerText);
    expect(textOf((await slow).parts)).toBe(answerText);
    await server.close();
  });
});
