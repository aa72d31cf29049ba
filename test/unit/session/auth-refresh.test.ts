import { describe, expect, it } from "vitest";
import { sessionBench } from "../../support/session-bench.ts";

const secondOf = (bench: ReturnType<typeof sessionBench>) => Math.floor(bench.clock.wall() / 1000);

describe("auth.refresh", () => {
  it("extends the socket beyond the expiry of its first token, and is confirmed", async () => {
    const bench = sessionBench();
    const client = bench.connectAs("ada", 60);
    client.take();
    await bench.clock.pass(30_000);
    await client.send({ type: "auth.refresh", token: bench.tokenOf("ada", 120) });
    expect(client.take()).toEqual([
      {
        type: "system",
        event: "auth_refreshed",
        message: "The new token is active.",
        expires_at: secondOf(bench) + 120,
      },
    ]);
    await bench.clock.pass(119_000);
    expect(client.socket.ended).toBeNull();
    await bench.clock.pass(3000);
    expect(client.socket.ended).toEqual({ code: 4408, reason: "the token expired" });
  });

  it("applies the weight of the new token to later messages", async () => {
    const bench = sessionBench({ script: (call) => call.answer("a") });
    const client = bench.connectAs("ada", 60);
    await client.send({ message: "Hi" });
    await client.send({ type: "auth.refresh", token: bench.tokenOf("ada", 60, 7) });
    await client.send({ message: "Hi" });
    expect(bench.provider.calls.map(({ request }) => request.principal.weight)).toEqual([1, 7]);
  });

  it.each([
    ["text that is not a token", () => "rubbish", "not a JSON Web Token"],
    ["an expired token", (bench) => bench.tokenOf("ada", -1), "expired"],
    ["the token of another subject", (bench) => bench.tokenOf("bob", 600), "another subject"],
    ["a tampered token", (bench) => `${bench.tokenOf("ada", 600).slice(0, -4)}AAAA`, "signature"],
  ] as [string, (bench: ReturnType<typeof sessionBench>) => string, string][])(
    "refuses %s, and the previous token stays active until it expires",
    async (_what, tokenOf, expected) => {
      const bench = sessionBench({ script: (call) => call.answer("a") });
      const client = bench.connectAs("ada", 60);
      client.take();
      const token = tokenOf(bench);
      await client.send({ type: "auth.refresh", token });
      const [error, ...rest] = client.take();
      expect(error).toMatchObject({ type: "error", code: "token_refused", retryable: false });
      expect(error?.["message"]).toContain(expected);
      expect(JSON.stringify(error)).not.toContain(token);
      expect(rest).toEqual([]);
      await client.send({ message: "Hi" });
      expect(client.socket.types).toEqual(["message"]);
      await bench.clock.pass(62_000);
      expect(client.socket.ended?.code).toBe(4408);
    },
  );

  it("refuses an anonymous socket and names the endpoint for tokens", async () => {
    const bench = sessionBench();
    const client = bench.connect();
    client.take();
    await client.send({ type: "auth.refresh", token: bench.tokenOf("ada", 600) });
    expect(client.take()).toMatchObject([
      { code: "token_refused", message: expect.stringContaining("/ws/chat/auth") as string },
    ]);
    await bench.clock.pass(1_000_000);
    expect(client.socket.ended).toBeNull();
  });

  it("leaves no timers of previous tokens", async () => {
    const bench = sessionBench();
    const client = bench.connectAs("ada", 60);
    for (let index = 0; index < 50; index++) {
      await client.send({ type: "auth.refresh", token: bench.tokenOf("ada", 60 + index) });
    }
    client.socket.vanish();
    await bench.clock.pass(300_000);
    expect(bench.clock.pending).toBeLessThanOrEqual(1);
  });

  it.each([
    [{ type: "auth.refresh" }, "Field `token` is missing in the auth.refresh frame."],
    [{ type: "auth.refresh", token: 1 }, "Field `token` must be a string."],
    [{ type: "auth.refresh", token: "" }, "Field `token` must not be empty."],
    [{ type: "auth.refresh", token: "x", to: 1 }, 'Unknown field "to" in the auth.refresh frame.'],
  ])("names what is wrong with %j", async (frame, message) => {
    const bench = sessionBench();
    const client = bench.connectAs("ada", 60);
    await client.send(frame);
    expect(client.socket.frames.at(-1)).toMatchObject({ code: "bad_frame", message });
  });
});
