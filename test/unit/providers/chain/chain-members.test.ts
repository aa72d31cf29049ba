import { describe, expect, it } from "vitest";
import { ServiceError } from "../../../../src/core/errors.ts";
import type { Logger } from "../../../../src/core/logger.ts";
import { noMetrics } from "../../../../src/core/metrics.ts";
import type { ChainLink } from "../../../../src/providers/chain/chain-member.ts";
import type { ChatProvider, ProviderHealth } from "../../../../src/providers/provider.ts";
import { announceHealth } from "../../../../src/app/health-notices.ts";
import { chainOf, linkTo } from "../../../support/chain.ts";
import { answerOf, chatRequest, textOf } from "../../../support/chat-request.ts";
import { ScriptedProvider } from "../../../support/scripted-provider.ts";
import { settle, VirtualClock } from "../../../support/virtual-clock.ts";
import { chainBench, failure } from "./chain-bench.ts";
import type { SeenPart } from "../../../support/parts-of.ts";

/** A fallback whose start is completed by the test. */
function lateLink(provider: ChatProvider) {
  const state = { starts: 0, finish: (): void => {}, fail: (_error: Error): void => {} };
  const link: ChainLink = {
    name: provider.name,
    remote: provider.remote,
    provider: null,
    start: () => {
      state.starts++;
      return new Promise((resolve, reject) => {
        state.finish = () => resolve(provider);
        state.fail = reject;
      });
    },
  };
  return { link, state };
}

function setUp(deadlines = { firstTokenMs: 5000, gapMs: 5000, totalMs: 60_000 }) {
  const clock = new VirtualClock();
  const broken = new ScriptedProvider({
    name: "openai",
    script: (call) => call.fail(failure("openai", "provider_unavailable")),
  });
  const local = new ScriptedProvider({ script: (call) => call.answer("local") });
  const { link, state } = lateLink(local);
  const faults: string[] = [];
  const logger: Logger = { debug() {}, info() {}, warn() {}, error: (_f, message) => faults.push(message) };
  const chain = chainOf([], {
    links: [linkTo(broken), link],
    clock,
    logger,
    metrics: noMetrics,
    deadlines,
    breaker: { failures: 3, openMs: 1000 },
  });
  const notices: string[] = [];
  for (const member of chain.members)
    announceHealth(member, (event) => notices.push(`${member.name} ${event}`));
  const ask = async (signal?: AbortSignal) => {
    const answer = answerOf(chain as unknown as ChatProvider, chatRequest("Hi"), signal).catch(
      (error: unknown) => error as ServiceError,
    );
    await settle();
    return answer;
  };
  return { clock, chain, local, state, notices, faults, ask };
}

it("the chain forwards forget to all started providers and starts none for it", async () => {
  const [first, second] = [new ScriptedProvider({ name: "openai" }), new ScriptedProvider()];
  const { link, state } = lateLink(new ScriptedProvider({ name: "echo" }));
  const chain = chainOf([], { links: [linkTo(first), linkTo(second), link] });
  chain.forget({ client: "anon:a" });
  for (const { forgotten } of [first, second]) expect(forgotten).toEqual([{ client: "anon:a" }]);
  expect(state.starts).toBe(0);
});

describe("a fallback that is not running yet", () => {
  it("is started once, on first use, for all waiting answers", async () => {
    const { ask, state, chain } = setUp();
    expect(state.starts).toBe(0);
    const answers = [ask(), ask()];
    await settle();
    state.finish();
    for (const answer of await Promise.all(answers)) expect(textOf(answer as SeenPart[])).toBe("local");
    expect(state.starts).toBe(1);
    expect(chain.status().map(({ name }) => name)).toEqual(["openai", "local"]);
  });

  it("is skipped if it cannot start, with a log line, a notice and an error that states what to fix", async () => {
    const { ask, state, notices, faults, clock } = setUp();
    const answer = ask();
    await settle();
    state.fail(new ServiceError("no_provider", "There is no model. Set MODEL_PATH."));
    expect(await answer).toMatchObject({
      code: "provider_unavailable",
      message: expect.stringContaining("There is no model. Set MODEL_PATH.") as string,
    });
    expect(faults).toContain("fallback provider failed to start");
    expect(notices).toEqual(["local provider_degraded"]);
    // The start is retried after a time, not with each message.
    await ask();
    expect(state.starts).toBe(1);
    await clock.pass(1000);
    const later = ask();
    await settle();
    expect(state.starts).toBe(2);
    state.finish();
    await later;
    expect(notices).toContain("local provider_recovered");
  });

  it("is started early if it is remote; one that cannot start is announced and skipped", async () => {
    const openai = lateLink(new ScriptedProvider({ name: "openai" }));
    const local = lateLink(new ScriptedProvider());
    const chain = chainOf([], {
      links: [linkTo(new ScriptedProvider({ name: "huggingface" })), openai.link, local.link],
    });
    const notices: string[] = [];
    for (const member of chain.members)
      announceHealth(member, (event) => notices.push(`${member.name} ${event}`));
    const started = chain.startEarly();
    openai.state.fail(new ServiceError("provider_auth", "It rejected the API key."));
    await started;
    expect([openai.state.starts, local.state.starts]).toEqual([1, 0]);
    expect(notices).toEqual(["openai provider_degraded"]);
    expect(chain.status().map(({ breaker }) => breaker)).toEqual(["closed", "open", "closed"]);
    expect(chain.status()[1]?.reason).toContain("It rejected the API key.");
  });

  it("hides the message of an internal error", async () => {
    const { ask, state } = setUp();
    const answer = ask();
    await settle();
    state.fail(new Error("secret path"));
    expect(((await answer) as ServiceError).message).not.toContain("secret path");
  });

  it("must start within the time for the first token", async () => {
    const { ask, clock } = setUp();
    const answer = ask();
    await clock.pass(5000);
    expect(await answer).toMatchObject({
      message: expect.stringContaining("AI_FIRST_TOKEN_SECONDS") as string,
    });
  });

  it("no longer delays a cancelled answer", async () => {
    const { ask, state, clock } = setUp();
    const controller = new AbortController();
    const answer = ask(controller.signal);
    await settle();
    controller.abort(new Error("enough"));
    expect(await answer).toMatchObject({ message: "enough" });
    expect([state.starts, clock.pending]).toEqual([1, 0]);
  });

  it("is closed if it starts after the chain was closed", async () => {
    const { ask, state, chain, local } = setUp();
    void ask();
    await settle();
    let closed = false;
    local.close = () => {
      closed = true;
      return Promise.resolve();
    };
    await chain.close();
    state.finish();
    await settle();
    expect(closed).toBe(true);
  });
});

describe("a provider that keeps failing", () => {
  const fail = (code: "provider_unavailable" | "provider_auth") => ({
    name: "openai" as const,
    script: (call: { fail(error: Error): unknown }) => call.fail(failure("openai", code)),
  });
  const breaker = { failures: 3, openMs: 1000 };

  it("is skipped, and answers go to the next provider with a notice and without a wait", async () => {
    const { ask, providerAt, chain } = chainBench(
      [fail("provider_unavailable"), { name: "local", script: (call) => call.answer("x") }],
      { breaker, retry: { retries: 0, maxWaitMs: 0 } },
    );
    for (let index = 0; index < 6; index++) {
      const answer = ask();
      await settle();
      expect(answer.text()).toBe("x");
      expect(answer.fallbacks()).toHaveLength(1);
    }
    expect(providerAt(0).calls).toHaveLength(3);
    expect(chain.status()[0]).toMatchObject({ state: "degraded", breaker: "open" });
    expect(chain.ready).toBe(true);
  });

  it("returns an error with the time to wait if it is the only provider", async () => {
    const { ask, clock, chain, metrics } = chainBench([fail("provider_unavailable")], { breaker });
    for (let index = 0; index < 3; index++) ask();
    await settle();
    await clock.pass(400);
    const answer = ask();
    await settle();
    expect(answer.ended).toMatchObject({ code: "provider_unavailable", retryable: true, retryAfterMs: 600 });
    expect(chain.ready).toBe(false);
    expect(metrics.breakers.get("openai")).toBe("open");
  });

  it("is not retried once it is skipped", async () => {
    const { ask, providerAt, metrics } = chainBench(
      [fail("provider_unavailable"), { name: "local", script: (call) => call.answer("x") }],
      { breaker: { failures: 1, openMs: 1000 }, retry: { retries: 5, maxWaitMs: 2000 } },
    );
    const answer = ask();
    await settle();
    expect([answer.text(), providerAt(0).calls.length, metrics.retries]).toEqual(["x", 1, []]);
  });

  it("is skipped after a single rejected key", async () => {
    const { ask, providerAt } = chainBench([fail("provider_auth")], { breaker });
    ask();
    await settle();
    const answer = ask();
    await settle();
    expect(providerAt(0).calls).toHaveLength(1);
    expect(answer.ended).toMatchObject({ code: "provider_auth", retryable: false });
  });

  it("is never skipped for faults of single requests", async () => {
    const { ask, chain } = chainBench(
      [
        {
          name: "openai",
          script: (call, index) =>
            call.fail(
              failure(
                "openai",
                (["prompt_too_long", "bad_request", "content_refused", "overloaded"] as const)[index % 4] ??
                  "bad_request",
              ),
            ),
        },
      ],
      { breaker },
    );
    for (let index = 0; index < 12; index++) ask();
    await settle();
    expect(chain.status()[0]).toMatchObject({ breaker: "closed" });
  });

  it("is skipped after cuts and missed deadlines as well", async () => {
    const { ask, providerAt, clock, chain } = chainBench(["openai"], {
      breaker,
      deadlines: { firstTokenMs: 100, gapMs: 100, totalMs: 60_000 },
    });
    for (const act of ["cut", "first", "gap"]) {
      ask();
      await settle();
      providerAt(0).call.start();
      if (act !== "first") providerAt(0).call.say("x");
      if (act === "cut") providerAt(0).call.fail(failure("openai", "bad_answer"));
      await clock.pass(100);
    }
    expect(chain.status()[0]).toMatchObject({ breaker: "open" });
  });
});

describe("a restarting provider", () => {
  it("delays answers for at most the time for the first token", async () => {
    let health: ProviderHealth = { state: "starting", reason: "It is starting." };
    const bench = chainBench(["local", "openai"], {
      deadlines: { firstTokenMs: 1000, gapMs: 1000, totalMs: 60_000 },
    });
    Object.assign(bench.providerAt(0), { health: () => health, onHealthChange: () => () => {} });
    const answer = bench.ask();
    await settle();
    bench.providerAt(0).call.queued(1);
    await bench.clock.pass(999);
    expect(answer.fallbacks()).toEqual([]);
    await bench.clock.pass(1);
    expect(answer.fallbacks()).toMatchObject([{ toProvider: "openai" }]);
    health = { state: "ready", reason: "" };
    const second = bench.ask();
    await settle();
    bench.providerAt(0).call.queued(1);
    await bench.clock.pass(60_000);
    expect(second.fallbacks()).toEqual([]);
  });
});
