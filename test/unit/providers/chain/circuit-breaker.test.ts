import { describe, expect, it } from "vitest";
import { CircuitBreaker, type BreakerCall } from "../../../../src/providers/chain/circuit-breaker.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

function make(failures = 3) {
  const clock = new VirtualClock();
  const states: string[] = [];
  const breaker = new CircuitBreaker({
    failures,
    openMs: 1000,
    clock,
    onChange: (state) => states.push(state),
  });
  const enter = () => breaker.enter() as BreakerCall;
  const fail = (error = new Error("it failed")) => enter().failed(error, false);
  return { clock, states, breaker, enter, fail };
}

describe("the circuit breaker", () => {
  it("opens after the configured number of consecutive failures and rejects requests", () => {
    const { breaker, fail, enter } = make();
    fail();
    fail();
    enter().succeeded();
    fail();
    fail();
    expect(breaker.state).toBe("closed");
    fail();
    expect(breaker.state).toBe("open");
    expect(breaker.enter()).toBeNull();
    expect(breaker.waitMs).toBe(1000);
  });

  it("opens at once for a failure that affects every request", () => {
    const { breaker, enter } = make();
    enter().failed(new Error("refused key"), true);
    expect(breaker.state).toBe("open");
  });

  it("counts one event that fails several requests as one failure", () => {
    const { breaker, enter } = make();
    const crash = new Error("it crashed");
    const calls = Array.from({ length: 8 }, enter);
    for (const call of calls) call.failed(crash, false);
    expect(breaker.state).toBe("closed");
  });

  it("admits one probe after its open time and closes when the probe succeeds", () => {
    const { breaker, clock, fail, enter, states } = make(1);
    fail();
    clock.advance(999);
    expect(breaker.admits).toBe(false);
    clock.advance(1);
    const probe = enter();
    expect(breaker.enter()).toBeNull();
    probe.succeeded();
    expect(states).toEqual(["open", "half_open", "closed"]);
    expect(breaker.enter()).not.toBeNull();
  });

  it("stays open for another period when the probe fails", () => {
    const { breaker, clock, fail, enter } = make(1);
    fail();
    clock.advance(1000);
    enter().failed(new Error("again"), false);
    expect(breaker.state).toBe("open");
    clock.advance(999);
    expect(breaker.enter()).toBeNull();
    clock.advance(1);
    expect(breaker.enter()).not.toBeNull();
  });

  it("admits another probe if the first one was cancelled", () => {
    const { breaker, clock, fail, enter } = make(1);
    fail();
    clock.advance(1000);
    enter().left();
    expect(breaker.state).toBe("open");
    enter().succeeded();
    expect(breaker.state).toBe("closed");
  });

  it("closes at the first text of the probe if earlier failures occurred before text, otherwise after a whole answer", () => {
    const early = make(1);
    early.fail();
    early.clock.advance(1000);
    early.enter().sawText();
    expect(early.breaker.state).toBe("closed");
    const late = make(1);
    const call = late.enter();
    call.sawText();
    call.failed(new Error("cut"), false);
    late.clock.advance(1000);
    const probe = late.enter();
    probe.sawText();
    expect(late.breaker.state).toBe("half_open");
    probe.succeeded();
    expect(late.breaker.state).toBe("closed");
  });

  it("ignores outcomes of requests that began before it opened or closed", () => {
    const { breaker, clock, enter, fail } = make(2);
    const [slow, slower] = [enter(), enter()];
    fail();
    fail();
    slow.succeeded();
    expect(breaker.state).toBe("open");
    clock.advance(1000);
    enter().succeeded();
    slower.failed(new Error("late"), true);
    expect(breaker.state).toBe("closed");
  });

  it("counts one outcome per call", () => {
    const { breaker, enter } = make(2);
    const call = enter();
    call.failed(new Error("one"), false);
    call.failed(new Error("two"), false);
    call.left();
    expect(breaker.state).toBe("closed");
  });
});
