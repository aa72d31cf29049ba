import { describe, expect, it } from "vitest";
import { sessionBench } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

describe("a bad frame", () => {
  it("gets an error with its id, and the connection stays open", async () => {
    const { connect, metrics } = sessionBench({ script: (call) => call.answer("a") });
    const client = connect();
    await client.send('{"message":1,"id":"mine"}');
    client.session.onBinary();
    expect(client.take().slice(1)).toMatchObject([
      {
        type: "error",
        code: "bad_frame",
        retryable: false,
        id: "mine",
        message: "Field `message` must be a string.",
      },
      { type: "error", code: "bad_frame", message: expect.stringMatching(/^Binary/) as string },
    ]);
    await client.send({ message: "Hi" });
    expect(client.take()).toMatchObject([{ type: "message" }]);
    expect(metrics.received).toEqual(["invalid", "invalid", "message"]);
  });

  it("closes the socket with 1008 if it is one too many in a minute, after an error for each", async () => {
    const { connect, clock } = sessionBench({ maxBadFrames: 3 });
    const client = connect();
    for (let index = 0; index < 3; index++) await client.send("{");
    await clock.pass(60_000);
    for (let index = 0; index < 3; index++) await client.send("{");
    expect(client.socket.ended).toBeNull();
    await client.send("{");
    expect(client.socket.ended?.code).toBe(1008);
    expect(client.socket.framesOf("error")).toHaveLength(7);
  });

  it("over the size limit gets an error and closes the socket with 1009", () => {
    const { connect } = sessionBench();
    const client = connect();
    client.session.onTooBig(65_537);
    expect(client.socket.frames.at(-1)).toMatchObject({
      type: "error",
      code: "frame_too_big",
      message: "The frame has 65537 bytes; the maximum is 65536.",
    });
    expect(client.socket.ended?.code).toBe(1009);
  });

  it("that is nested too deeply for recursion gets an error", async () => {
    const { connect } = sessionBench();
    const client = connect();
    await client.send(`{"type":${"[".repeat(30_000)}${"]".repeat(30_000)}}`);
    expect(client.socket.frames.at(-1)).toMatchObject({ code: "bad_frame" });
  });
});

describe("frames outside of answers", () => {
  it("wait while the socket is blocked, and are then sent in order before waiting text", async () => {
    const { connect, provider } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    provider.call.start();
    client.socket.onSend = () => "queued";
    await client.send({ type: "ping" });
    client.socket.onSend = () => "sent";
    provider.call.say("a");
    await client.send("{");
    await client.send({ type: "ping" });
    expect(client.socket.types).toEqual(["system", "pong"]);
    client.drain();
    expect(client.socket.types).toEqual(["system", "pong", "error", "pong", "token"]);
    expect(client.socket.breaches).toEqual([]);
  });

  it("are sent one by one while every send is queued", async () => {
    const { connect } = sessionBench();
    const client = connect();
    client.socket.onSend = () => "queued";
    for (let index = 0; index < 4; index++) await client.send({ type: "ping" });
    for (let pongs = 1; pongs <= 4; pongs++) {
      expect(client.socket.framesOf("pong")).toHaveLength(pongs);
      client.drain();
    }
    expect(client.socket.breaches).toEqual([]);
    expect(client.socket.framesOf("pong")).toHaveLength(4);
  });

  it("close the socket with 1008 if the client does not read them", async () => {
    const { connect } = sessionBench();
    const client = connect();
    client.socket.onSend = () => "queued";
    for (let index = 0; index < 65; index++) await client.send({ type: "ping" });
    expect(client.socket.ended).toBeNull();
    await client.send({ type: "ping" });
    expect(client.socket.ended?.code).toBe(1008);
    expect(client.socket.breaches).toEqual([]);
  });

  it("close the socket with 1008 if they arrive faster than they can be handled", async () => {
    const { connect } = sessionBench();
    const client = connect();
    for (let index = 0; index < 65; index++) client.sendNow({ message: "Hi", id: `i${index}` });
    expect(client.socket.ended?.code).toBe(1008);
    await settle();
    expect(client.session.writable).toBe(false);
  });
});
