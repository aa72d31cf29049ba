import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, until, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

/** Lets each test choose its addresses with X-Forwarded-For. */
const shared = { AI_PROVIDER: "echo", JWT_SECRET, TRUSTED_PROXIES: "127.0.0.1" };

const from = (address: string) => ({ headers: { "x-forwarded-for": address } });

const authenticated = ({ url }: Service, subject: string) =>
  ChatSocket.greeted(`${url}/ws/chat/auth`, ["chat.v1", `bearer.${tokenOf(subject, 3600)}`]);

/** Sends a message and waits for the frame that ends its answer. */
async function ask(client: ChatSocket, message: string, id: string, conversation = "c") {
  client.send({ message, id, conversation, stream: false });
  return client.next((frame) => frame["id"] === id);
}

/** Text that JSON encodes in six bytes for each. */
const ESCAPED = "\u0001".repeat(10_000);

const metric = async (service: Service, name: string): Promise<number> => {
  const text = await (await service.http("/metrics")).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
};

describe("histories that are requested again and again", () => {
  const RATE = 262_144;
  let service: Service;
  beforeAll(async () => {
    service = await startService({
      ...shared,
      RATE_LIMITS: "on",
      MAX_FRAMES_PER_SECOND: "10000",
      MAX_REPLAY_BYTES_PER_SECOND: String(RATE),
    });
  });
  afterAll(() => service.stop());

  it("are sent at the replay rate of their address, and other clients are served meanwhile", async () => {
    const honest = await authenticated(service, "honest");
    const first = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("192.0.2.1"));
    for (let index = 0; index < 5; index++) await ask(first, ESCAPED, `m${index}`);
    const startedAt = performance.now();
    // 600,000 bytes each.
    let asked = 0;
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 10; index++, asked++) first.send({ type: "history", conversation: "c" });
      expect(await ask(honest, "Hi", `h${round}`)).toMatchObject({ type: "message" });
      await first.next(({ type }) => type === "history");
    }
    const histories = first.frames.filter(({ type }) => type === "history");
    const bytes = histories.reduce((sum, frame) => sum + Buffer.byteLength(JSON.stringify(frame)), 0);
    const seconds = (performance.now() - startedAt) / 1000;
    expect(bytes).toBeLessThan((2 + seconds) * RATE + 700_000);
    // The last four wait for the budget; the others were refused at once.
    await first.next(({ code }) => code === "busy");
    await until(
      () => first.frames.filter(({ type, code }) => type === "history" || code !== undefined).length >= asked,
      50_000,
    );
    expect(first.frames.filter(({ code }) => code === "rate_limited").length).toBeLessThanOrEqual(4);
    await Promise.all([first.close(), honest.close()]);
  });
});

describe("readers that do not read their histories", () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({ ...shared, MAX_BUFFERED_MB: "2" })));
  afterAll(() => service.stop());

  it("do not block other clients, and are closed", async () => {
    const honest = await authenticated(service, "honest");
    const secret = (await first(service)).session;
    const sockets: WireClient[] = [];
    for (let index = 0; index < 30; index++) {
      const socket = await WireClient.greeted(service.port);
      sockets.push(socket);
      socket.send({ type: "resume", session: secret });
      await socket.next(({ event }) => event === "resumed");
      socket.pause();
    }
    // More than the buffers of both ends of each connection hold; the refusals fit the outbox. The service has sent
    // what it can of each round when it answers the honest client.
    for (let round = 0; round < 50; round++) {
      for (const socket of sockets) socket.send({ type: "history", conversation: "c" });
      expect(await ask(honest, "Hi", `f${round}`)).toMatchObject({ type: "message" });
    }
    await until(async () => (await metric(service, "chat_buffered_bytes")) > 500_000);
    let round = 0;
    await until(async () => {
      expect(await ask(honest, "Hi", `w${round++}`)).toMatchObject({ type: "message" });
      return (await metric(service, "chat_buffered_bytes")) === 0;
    }, 180_000);
    for (const socket of sockets) socket.cut();
    await honest.close();
  }, 240_000);

  /** A client with a history of 600,000 bytes in JSON. */
  async function first({ url }: Service): Promise<{ session: string }> {
    const client = await ChatSocket.greeted(`${url}/ws/chat`);
    for (let index = 0; index < 5; index++) await ask(client, ESCAPED, `m${index}`);
    return { session: String(client.welcome["session"]) };
  }
});

describe("floods of anonymous clients from many addresses", () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ ...shared, HISTORY_BUDGET_MB: "1", ANONYMOUS_CONTEXT_BUDGET_MB: "1" });
  });
  afterAll(() => service.stop());

  /** Sends one message from each of many /64 networks of one /48, and leaves. */
  async function flood(count: number, message: string): Promise<void> {
    const one = async (index: number): Promise<void> => {
      const address = `2001:db8:7:${index.toString(16)}::1`;
      const client = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from(address));
      await ask(client, message, "m");
      await client.close();
    };
    for (let index = 0; index < count; index += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, offset) => one(index + offset)));
    }
  }

  it("evict no history of authenticated clients or of other networks", async () => {
    const ada = await authenticated(service, "ada");
    const quiet = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("192.0.2.1"));
    for (let index = 0; index < 8; index++) {
      for (const client of [ada, quiet]) await ask(client, "x".repeat(7000), `m${index}`);
    }
    await flood(600, "y".repeat(2000));
    expect(await metric(service, "chat_history_bytes")).toBeGreaterThan(800_000);
    for (const client of [ada, quiet]) {
      client.send({ type: "history", conversation: "c" });
      const { turns } = await client.next(({ type }) => type === "history");
      expect(turns).toHaveLength(16);
    }
    await Promise.all([ada.close(), quiet.close()]);
  });

  it("drop contexts of clients without a socket, which are informed when they resume, and refuse no client", async () => {
    const lost = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("2001:db8:7:f0::1"));
    const present = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("2001:db8:7:f1::1"));
    const session = String(lost.welcome["session"]);
    for (const client of [lost, present]) {
      const reply = await ask(client, `/setcontext text="${"a".repeat(20_000)}"`, "s");
      expect(reply["result"]).toMatchObject({ status: "success" });
    }
    await lost.close();
    await flood(100, `/setcontext text="${"y".repeat(15_000)}"`);
    const late = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("192.0.2.77"));
    const reply = await ask(late, '/setcontext text="late"', "s");
    expect(reply["result"]).toMatchObject({ status: "success" });
    const back = await ChatSocket.greeted(`${service.url}/ws/chat`, [], from("2001:db8:7:f0::1"));
    back.send({ type: "resume", session });
    await back.next(({ event }) => event === "context_dropped");
    expect((await ask(back, "/getcontext", "g"))["result"]).toMatchObject({ context: null });
    const kept = await ask(present, "/getcontext", "g");
    expect(kept["result"]).toMatchObject({ context: "a".repeat(20_000) });
    await Promise.all([late.close(), back.close(), present.close()]);
  });
});
