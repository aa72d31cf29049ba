import { describe, expect, it } from "vitest";
import { TOKEN_SHAPE } from "../../../../web/client/chat-client.ts";
import { connect, connected, ofType, URL_OF_CHAT, welcomeFrame } from "./fake-environment.ts";

describe("connecting", () => {
  it("offers the subprotocol chat.v1, and sends a token as a subprotocol and never in the URL", () => {
    expect(connect().world.socket).toMatchObject({ url: URL_OF_CHAT, protocols: ["chat.v1"] });
    expect(connect("a.b.c").world.socket).toMatchObject({
      url: URL_OF_CHAT,
      protocols: ["chat.v1", "bearer.a.b.c"],
    });
  });

  it("opens the session on the welcome frame and stores the session secret", () => {
    const { world, client, events } = connected();
    expect(client.state.phase).toBe("open");
    expect(world.secret).toBe("secret-1");
    expect(client.welcome?.model).toBe("tiny");
    expect(ofType(events, "session")).toEqual([{ type: "session", outcome: "new" }]);
  });

  it("holds messages back until the connection is open, then sends them", () => {
    const { world, client } = connect();
    client.send({ text: "early", conversation: "c", id: "m1" });
    expect(world.socket.sent).toEqual([]);
    world.socket.deliver(welcomeFrame());
    expect(world.socket.sent).toEqual([
      { type: "message", message: "early", id: "m1", conversation: "c", reasoning: true },
    ]);
  });

  it("drops a socket that sends no frame within the handshake timeout", async () => {
    const { world, client } = connect();
    await world.clock.pass(15_000);
    expect(world.socket.closedByClient).toBe(true);
    expect(client.state).toMatchObject({ phase: "waiting", code: 1006 });
  });

  it("accepts only text in the shape of a JWT as a token", () => {
    expect(TOKEN_SHAPE.test("eyJh.eyJz.c2ln-_")).toBe(true);
    for (const wrong of ["", "a.b", "a.b.c d", "a.b.c,chat.v1"]) expect(TOKEN_SHAPE.test(wrong)).toBe(false);
  });
});

describe("sessions", () => {
  it("resumes the session with the first frame after the welcome, and sends nothing else before the reply", () => {
    const { world, client } = connect();
    world.secret = "old";
    client.send({ text: "hello", conversation: "c", id: "m1" });
    world.socket.deliver(welcomeFrame("fresh"));
    expect(world.socket.sent).toEqual([{ type: "resume", session: "old" }]);
    expect(client.state.phase).toBe("connecting");
    world.socket.deliver({ type: "system", event: "resumed", message: "", session: "old", client: "x" });
    expect(world.socket.sent[1]).toMatchObject({ id: "m1" });
    expect(world.secret).toBe("old");
  });

  it("continues with the new session when the old one is lost, and reports the loss", () => {
    const { world, client, events } = connect();
    world.secret = "old";
    world.socket.deliver(welcomeFrame("fresh"));
    world.socket.deliver({ type: "error", code: "resume_expired", message: "", retryable: false });
    expect(client.state.phase).toBe("open");
    expect(world.secret).toBe("fresh");
    expect(ofType(events, "session")).toEqual([{ type: "session", outcome: "lost" }]);
    expect(ofType(events, "notice")).toEqual([]);
  });
});

describe("reconnecting", () => {
  it.each([1000, 1001, 1008, 1009, 4403, 4409])(
    "does not reconnect after %i until connect() is called",
    async (code) => {
      const { world, client } = connected();
      world.socket.end(code, "why");
      expect(client.state).toEqual({ phase: "stopped", code, reason: "why", needs: "action" });
      await world.clock.pass(3_600_000);
      expect(world.sockets).toHaveLength(1);
      client.connect();
      expect(world.sockets).toHaveLength(2);
    },
  );

  it.each([4401, 4408])(
    "waits for a token after %i, then resumes the session and sends unanswered messages",
    async (code) => {
      const { world, client } = connected();
      client.send({ text: "hello", conversation: "c", id: "m1" });
      world.socket.end(code);
      expect(client.state).toMatchObject({ phase: "stopped", needs: "token" });
      await world.clock.pass(3_600_000);
      expect(world.sockets).toHaveLength(1);
      client.use({ url: URL_OF_CHAT, token: "n.e.w" });
      world.socket.deliver(welcomeFrame("other"));
      world.socket.deliver({
        type: "system",
        event: "resumed",
        message: "",
        session: "secret-1",
        client: "x",
      });
      expect(world.socket.protocols).toContain("bearer.n.e.w");
      expect(world.socket.sent).toMatchObject([{ type: "resume", session: "secret-1" }, { id: "m1" }]);
    },
  );

  it("reconnects at once with a little jitter after a restart of the server", async () => {
    const { world } = connected();
    world.random = 0.999;
    world.socket.end(1012);
    await world.clock.pass(1_000);
    expect(world.sockets).toHaveLength(2);
  });

  it("reconnects after the delay that the server named, not earlier", async () => {
    const { world } = connected();
    world.random = 0;
    world.socket.end(1013, '{"retry_after_ms":5000}');
    await world.clock.pass(4_999);
    expect(world.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.sockets).toHaveLength(2);
  });

  it("doubles the delay up to 30 seconds, and starts with a short one again after a stable connection", async () => {
    const { world, client } = connected();
    world.random = 0.999_999;
    const delays: number[] = [];
    for (let round = 0; round < 9; round++) {
      world.socket.end(1006);
      if (client.state.phase !== "waiting") throw new Error("not waiting");
      delays.push(Math.round(client.state.retryAt - world.clock.now()));
      await world.clock.pass(delays.at(-1) as number);
    }
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    world.socket.deliver(welcomeFrame());
    world.socket.deliver({ type: "system", event: "resumed", message: "", session: "s", client: "x" });
    await world.clock.pass(6_000);
    world.socket.end(1006);
    expect(client.state).toMatchObject({ phase: "waiting", attempt: 1 });
  });

  it("draws the delay from the whole range down to zero", () => {
    const { world, client } = connected();
    world.random = 0;
    world.socket.end(1006);
    expect(client.state).toMatchObject({ retryAt: world.clock.now() });
  });

  it("connects at once when connect() is called during a delay, and only once", async () => {
    const { world, client } = connected();
    world.socket.end(1011);
    client.connect();
    client.connect();
    await world.clock.pass(10_000);
    expect(world.sockets).toHaveLength(2);
  });

  it("does not reconnect after disconnect()", async () => {
    const { world, client } = connected();
    client.disconnect();
    await world.clock.pass(3_600_000);
    expect(world.sockets).toHaveLength(1);
    expect(world.socket.closedByClient).toBe(true);
    expect(client.state.phase).toBe("idle");
  });
});

describe("a silent connection", () => {
  it("is kept when a pong follows the ping", async () => {
    const { world, client } = connected();
    await world.clock.pass(25_000);
    expect(world.socket.sent).toEqual([{ type: "ping" }]);
    world.socket.deliver({ type: "pong" });
    await world.clock.pass(20_000);
    expect(client.state.phase).toBe("open");
  });

  it("is dropped when no frame follows the ping", async () => {
    const { world, client } = connected();
    await world.clock.pass(35_000);
    expect(world.socket.closedByClient).toBe(true);
    expect(client.state.phase).toBe("waiting");
  });

  it("is dropped when it sends text that is not a frame", () => {
    const { world, client } = connected();
    world.socket.deliverRaw("<html>");
    expect(world.socket.closedByClient).toBe(true);
    expect(client.state.phase).toBe("waiting");
  });
});

describe("a new token of the same user", () => {
  const endpoint = { url: URL_OF_CHAT, token: "n.e.w" };

  it("is sent over the open connection, and used for the next connection", async () => {
    const { world, client, events } = connected();
    client.renew(endpoint);
    expect(world.socket.sent).toEqual([{ type: "auth.refresh", token: "n.e.w" }]);
    world.socket.deliver({ type: "system", event: "auth_refreshed", message: "", expires_at: 5 });
    expect(ofType(events, "notice")).toEqual([]);
    expect(world.sockets).toHaveLength(1);
    world.socket.end(1006);
    await world.clock.pass(500);
    expect(world.socket.protocols).toEqual(["chat.v1", "bearer.n.e.w"]);
  });

  it("causes a reconnect when it is refused, because the close code gives the reason", () => {
    const { world, client } = connected();
    client.renew(endpoint);
    world.socket.deliver({ type: "error", code: "token_refused", message: "no", retryable: false });
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.protocols).toContain("bearer.n.e.w");
  });

  it("causes a connect when there is no connection", () => {
    const { world, client } = connected();
    world.socket.end(4408);
    client.renew(endpoint);
    expect(world.sockets).toHaveLength(2);
    expect(client.state.phase).toBe("connecting");
  });
});
