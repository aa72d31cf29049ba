import { describe, expect, it } from "vitest";
import { sessionBench } from "../../../support/session-bench.ts";
import { tokenText } from "../../../support/token-text.ts";
import { settle } from "../../../support/virtual-clock.ts";

describe("a slow streaming socket", () => {
  it("has its answer stopped if it reads nothing for ABANDON_SECONDS, and not if it reads in time", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    client.socket.onSend = () => "queued";
    provider.call.start().say("a");
    await settle();
    provider.call.say("b");
    await clock.pass(14_999);
    client.drain();
    provider.call.say("c");
    await clock.pass(14_999);
    expect(client.session.busy).toBe(true);
    client.socket.onSend = () => "sent";
    client.drain();
    // The socket has read everything, so a wait for the model does not count as a stall.
    await clock.pass(100_000);
    client.socket.onSend = () => "queued";
    provider.call.say("d");
    await settle();
    provider.call.say("e");
    await clock.pass(15_000);
    client.socket.onSend = () => "sent";
    client.drain();
    expect(client.socket.frames.at(-1)).toMatchObject({
      type: "message",
      finish_reason: "abandoned",
      content: "abcde",
    });
    expect(tokenText(client.socket.frames)).toBe("abcde");
    expect(provider.call.stopped).toBe(true);
  });

  it("does not stop an answer that another socket reads", async () => {
    const { connectAs, provider, clock } = sessionBench();
    const [slow, fast] = [connectAs("ada", 3600, true), connectAs("ada", 3600, true)];
    const frame = { message: "Hi", id: "i", conversation: "c" };
    await slow.send(frame);
    await fast.send(frame);
    slow.socket.onSend = () => "queued";
    provider.call.start();
    for (const token of ["a", "b", "c"]) {
      provider.call.say(token);
      await clock.pass(100_000);
    }
    provider.call.finish();
    await settle();
    expect(fast.socket.framesOf("token")).toHaveLength(3);
    slow.socket.onSend = () => "sent";
    slow.drain();
    for (const client of [slow, fast]) {
      expect(tokenText(client.socket.frames)).toBe("abc");
      expect(client.socket.frames.at(-1)).toMatchObject({ finish_reason: "stop", content: "abc" });
      expect(client.socket.breaches).toEqual([]);
    }
  });

  it("receives its answers in turn, without starving any of them", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect({ streaming: true });
    for (const conversation of ["a", "b"])
      await client.send({ message: "Hi", id: conversation, conversation });
    client.socket.onSend = () => "queued";
    for (const call of provider.calls) call.start();
    for (let round = 0; round < 20; round++) {
      for (const call of provider.calls) call.say("x");
      await clock.pass(2000);
      client.drain();
    }
    const sent = (id: string) => client.socket.framesOf("token").filter((frame) => frame["id"] === id).length;
    expect(Math.min(sent("a"), sent("b"))).toBeGreaterThanOrEqual(9);
    expect(client.socket.framesOf("message")).toEqual([]);
    expect(client.socket.breaches).toEqual([]);
  });

  it("is closed with 1011 after a dropped frame, because the text after it would be wrong", async () => {
    const { connect, provider } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    client.socket.onSend = () => "dropped";
    provider.call.start().say("a");
    await settle();
    expect(client.socket.ended?.code).toBe(1011);
    provider.call.say("b").finish();
    await settle();
    expect(client.socket.framesOf("token")).toEqual([]);
  });
});

describe("a full event loop", () => {
  it("leads to fewer and larger token frames, while final frames and queue positions are sent at once", async () => {
    const { connect, provider, clock, loop } = sessionBench();
    loop.busy = 1;
    const client = connect({ streaming: true });
    await client.send({ message: "Hi", id: "i" });
    provider.call.start();
    let whole = "";
    for (let index = 0; index < 500; index++) {
      provider.call.say("x");
      whole += "x";
      await clock.pass(2);
    }
    const frames = client.socket.framesOf("token");
    expect(frames.slice(-5).every(({ content }) => String(content).length > 15)).toBe(true);
    expect(tokenText(frames).length).toBeGreaterThan(whole.length - 30);
    await client.send({ message: "Hi", id: "j" });
    expect(client.socket.framesOf("queued")).toMatchObject([{ id: "j", position: 1 }]);
    provider.calls[0]?.say("y").finish();
    await settle();
    expect(client.socket.framesOf("message")).toMatchObject([{ id: "i", content: `${whole}y` }]);
    expect(client.socket.breaches).toEqual([]);
  });
});
