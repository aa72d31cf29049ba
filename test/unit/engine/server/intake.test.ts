import { describe, expect, it } from "vitest";
import { ServiceError } from "../../../../src/core/errors.ts";
import type { EngineRequest } from "../../../../src/engine-wire/requests.ts";
import type { RequestState } from "../../../../src/engine/generation/request-state.ts";
import type { PendingCount, PendingRequest } from "../../../../src/engine/server/gateway-connection.ts";
import { Intake, type Prompts } from "../../../../src/engine/server/intake.ts";
import { preparedRequest, recordedEvents } from "../../../support/fake-sequence.ts";

const RETRY_MS = 1234;

/** An intake before a loop with `tokens` prompt tokens of room that starts nothing, and a tokenizer of one piece. */
function setUp({ queueLimit = 4, tokens = 1000 } = {}) {
  const submitted: RequestState[] = [];
  const prepared: string[] = [];
  const turns: (() => void)[] = [];
  let rejectSchema = (): void => {};
  const prompts: Prompts = {
    *prepare({ turns: [turn], accountKey }) {
      yield 1;
      if (turn?.content === "too long") throw new ServiceError("prompt_too_long", "The prompt is too long.");
      prepared.push(accountKey);
      return preparedRequest(turn?.content.length ?? 0, { accountKey });
    },
    withGrammar: (request, { turns: [turn] }) =>
      turn?.content === "bad schema"
        ? new Promise((_, reject) => {
            rejectSchema = () => reject(new ServiceError("bad_request", "The schema cannot be used."));
          })
        : Promise.resolve(request),
    *prepareContext({ accountKey }) {
      yield 1;
      return preparedRequest(3, { accountKey, background: true });
    },
    *countTokens(text) {
      yield 1;
      return text.length;
    },
  };
  const loop = {
    idle: true,
    steps: 0,
    tickMs: 0,
    submit(request: RequestState) {
      const waiting = submitted.reduce((sum, { length }) => sum + length, 0);
      if (waiting + request.length > tokens) return false;
      submitted.push(request);
      return true;
    },
    cancel(request: RequestState) {
      request.cancelled = true;
      const at = submitted.indexOf(request);
      if (at >= 0) submitted.splice(at, 1);
    },
    overloaded: () => new ServiceError("overloaded", "Full.", { retryAfterMs: RETRY_MS }),
  };
  const faults: unknown[] = [];
  const intake = new Intake({
    loop,
    prompts,
    detokenize: () => "",
    queueLimit,
    maxContexts: 2,
    now: () => 0,
    defer: (turn) => turns.push(turn),
    onFault: (error) => faults.push(error),
  });
  const run = async () => {
    for (;;) {
      for (const turn of turns.splice(0)) turn();
      await new Promise((resolve) => setImmediate(resolve));
      if (turns.length === 0) return;
    }
  };
  const request = (accountKey: string, text: string): EngineRequest => ({
    system: "",
    context: null,
    turns: [{ role: "user", content: text }],
    maxTokens: 1,
    sampling: {},
    client: accountKey,
    accountKey,
    authenticated: accountKey.startsWith("sub:"),
    conversation: "c",
  });
  const submit = (accountKey: string, text = "hello") => {
    const errors: unknown[] = [];
    const events = { ...recordedEvents(), failed: (error: unknown) => void errors.push(error) };
    const engineRequest = request(accountKey, text);
    const pending: PendingRequest = {
      accountKey,
      authenticated: engineRequest.authenticated,
      events,
      failed: (error) => events.failed(error),
      arrivedAt: 0,
      cancelled: false,
      state: undefined,
    };
    intake.submit(pending, engineRequest);
    return { pending, errors, accountKey };
  };
  const count = (accountKey: string, text = "hello") => {
    const { client, authenticated, weight } = request(accountKey, text);
    const ends: unknown[] = [];
    const pending: PendingCount = {
      accountKey,
      authenticated,
      cancelled: false,
      counted: (tokens) => ends.push(tokens),
      failed: (error) => ends.push(error),
    };
    intake.count(pending, {
      text,
      client,
      accountKey,
      authenticated,
      ...(weight !== undefined && { weight }),
    });
    return { pending, ends };
  };
  return {
    intake,
    run,
    submit,
    count,
    submitted,
    prepared,
    faults,
    loop,
    request,
    rejectSchema: () => rejectSchema(),
  };
}

const overloaded = expect.objectContaining({ code: "overloaded", retryable: true, retryAfterMs: RETRY_MS });

describe("Intake", () => {
  it("gives the place of the largest principal's youngest request to another principal, before it is prepared", async () => {
    const { run, submit, submitted, intake, prepared } = setUp();
    const many = Array.from({ length: 4 }, () => submit("sub:greedy"));
    const modest = submit("sub:modest");
    expect(many.map(({ errors }) => errors.length)).toEqual([0, 0, 0, 1]);
    expect(many[3]?.errors).toEqual([overloaded]);
    expect(modest.errors).toEqual([]);
    expect(intake.displaced).toBe(1);
    await run();
    expect(submitted).toHaveLength(4);
    expect(prepared.filter((key) => key === "sub:greedy")).toHaveLength(3);
  });

  it("displaces a request that waits for a slot, and removes it from the loop", async () => {
    const { run, submit, submitted } = setUp();
    const many = Array.from({ length: 4 }, () => submit("sub:greedy"));
    await run();
    expect(submitted).toHaveLength(4);
    submit("sub:modest");
    expect(many[3]?.errors).toEqual([overloaded]);
    expect(many[3]?.pending.state?.cancelled).toBe(true);
    expect(submitted).toHaveLength(3);
    await run();
    expect(submitted.map(({ accountKey }) => accountKey)).toContain("sub:modest");
  });

  it("refuses the request of a principal that is the largest itself", () => {
    const { submit, intake } = setUp();
    const many = Array.from({ length: 5 }, () => submit("sub:greedy"));
    expect(many.map(({ errors }) => errors.length)).toEqual([0, 0, 0, 0, 1]);
    expect(intake.displaced).toBe(0);
  });

  it("keeps a place for authenticated clients, whatever the number of anonymous addresses", () => {
    const { submit } = setUp();
    const crowd = Array.from({ length: 100 }, (_, index) =>
      submit(`addr:2001:db8:1:${index.toString(16)}::/64`),
    );
    expect(crowd.filter(({ errors }) => errors.length === 0)).toHaveLength(3);
    expect(submit("sub:a").errors).toEqual([]);
  });

  it("frees a place when a request gets its slot, fails or is cancelled", async () => {
    const { run, submit, submitted, intake } = setUp({ queueLimit: 2 });
    submit("sub:a");
    const failing = submit("sub:a", "too long");
    await run();
    expect(failing.errors).toEqual([expect.objectContaining({ code: "prompt_too_long" })]);
    submitted[0]?.events.started(5, 0, 0);
    const next = [submit("sub:a"), submit("sub:a")];
    intake.cancel((next[1] as (typeof next)[0]).pending);
    next.push(submit("sub:a"));
    await run();
    expect(next.flatMap(({ errors }) => errors)).toEqual([]);
    expect(submitted).toHaveLength(3);
  });

  it("makes room for a prompt whose tokens do not fit beside those of a larger principal", async () => {
    const { run, submit, submitted } = setUp({ queueLimit: 100, tokens: 100 });
    const many = Array.from({ length: 10 }, () => submit("sub:greedy", "x".repeat(10)));
    await run();
    const modest = submit("sub:modest", "x".repeat(15));
    await run();
    expect(modest.errors).toEqual([]);
    expect(many.filter(({ errors }) => errors.length > 0)).toHaveLength(2);
    const again = submit("sub:greedy", "x".repeat(40));
    await run();
    expect(again.errors).toEqual([overloaded]);
    expect(submitted).toHaveLength(9);
  });

  it("takes the room for a prompt from the longest prompts, not from the most requests", async () => {
    const { run, submit, submitted } = setUp({ queueLimit: 100, tokens: 60_000 });
    const many = Array.from({ length: 20 }, () => submit("sub:many", "x".repeat(100)));
    const long = [submit("sub:x", "x".repeat(29_000)), submit("sub:y", "x".repeat(28_000))];
    await run();
    const notTokenized = submit("sub:many", "x".repeat(100));
    const short = submit("sub:modest", "x".repeat(2000));
    await run();
    expect(long.map(({ errors }) => errors)).toEqual([[overloaded], []]);
    expect([...many, notTokenized, short].flatMap(({ errors }) => errors)).toEqual([]);
    // Another long prompt is the largest itself.
    const again = submit("sub:z", "x".repeat(30_000));
    await run();
    expect(again.errors).toEqual([overloaded]);
    expect(submitted).toHaveLength(23);
  });

  it("counts tokens in turn with the other work, within the same places", async () => {
    const { run, count, submit, prepared, intake } = setUp({ queueLimit: 100 });
    const counts = Array.from({ length: 50 }, () => count("addr:10.0.0.1"));
    submit("addr:10.0.0.2");
    const [first] = counts;
    await run();
    expect(prepared).toEqual(["addr:10.0.0.2"]);
    expect(first?.ends).toEqual([5]);
    expect(counts.every(({ ends }) => ends.length === 1)).toBe(true);
    expect(intake.size).toBe(0);
    const { count: countOne } = setUp({ queueLimit: 1 });
    countOne("sub:a");
    expect(countOne("sub:b").ends).toEqual([overloaded]);
  });

  it("reports the failure of a schema once, and not for a request that was cancelled or displaced", async () => {
    const { run, submit, intake, rejectSchema } = setUp({ queueLimit: 2 });
    const failing = submit("sub:a", "bad schema");
    await run();
    rejectSchema();
    await run();
    expect(failing.errors).toEqual([expect.objectContaining({ code: "bad_request" })]);
    const cancelled = submit("sub:a", "bad schema");
    await run();
    intake.cancel(cancelled.pending);
    rejectSchema();
    await run();
    expect(cancelled.errors).toEqual([]);
    submit("sub:a");
    const displaced = submit("sub:a", "bad schema");
    await run();
    submit("sub:b");
    rejectSchema();
    await run();
    expect(displaced.errors).toEqual([overloaded]);
  });

  it("stops counting for a cancelled command", async () => {
    const { run, count, intake } = setUp();
    const { pending, ends } = count("sub:a");
    intake.cancel(pending);
    await run();
    expect(ends).toEqual([]);
    expect(intake.pieces).toBe(0);
  });

  it("processes only the latest context of a client, and none of a forgotten one", async () => {
    const { run, intake, submitted, request } = setUp();
    const context = (key: string, text: string) => ({ ...request(key, ""), context: text });
    intake.prepareContext(context("sub:a", "first"));
    intake.prepareContext(context("sub:a", "second"));
    intake.prepareContext(context("sub:b", "other"));
    intake.forgetContext("sub:b");
    await run();
    expect(submitted.map(({ accountKey }) => accountKey)).toEqual(["sub:a"]);
    intake.forgetContext("sub:a");
    expect(submitted).toEqual([]);
  });
});
