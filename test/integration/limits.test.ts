import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { limits, type LimitName } from "../../src/core/limits.ts";
import { ChatSocket, type Closed } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

/** Limits low enough for a test to reach, and far enough apart that it reaches one at a time. */
const small = {
  AI_PROVIDER: "echo",
  JWT_SECRET,
  RATE_LIMITS: "on",
  // Lets each test choose its address with X-Forwarded-For.
  TRUSTED_PROXIES: "127.0.0.1",
  MAX_CONNECTIONS: "24",
  MAX_CONNECTIONS_PER_ADDRESS: "6",
  MAX_UPGRADES_PER_MINUTE: "12",
  MAX_CONNECTIONS_PER_CLIENT: "2",
  MAX_FRAMES_PER_SECOND: "10",
  MAX_ACKS_PER_SECOND: "5",
  MAX_MESSAGES_PER_MINUTE: "8",
  MAX_MESSAGES_PER_MINUTE_PER_ADDRESS: "12",
  MAX_CONVERSATIONS_PER_CLIENT: "2",
  MAX_PENDING_MESSAGES: "1",
  MAX_ACTIVE_ANSWERS_PER_CLIENT: "1",
  MAX_BAD_FRAMES: "2",
  MAX_FRAME_BYTES: "1024",
};

let addresses = 0;
/** Headers of a client at an address that no other test uses. */
function newAddress() {
  const address = `203.0.${113 + (addresses >> 8)}.${addresses++ & 255}`;
  return { headers: { "x-forwarded-for": address } };
}

async function hits(service: Service, limit: LimitName): Promise<number> {
  const text = await (await service.http("/metrics")).text();
  const found = new RegExp(`^chat_limit_hits_total\\{limit="${limit}"\\} (\\d+)$`, "m").exec(text);
  return Number(found?.[1] ?? Number.NaN);
}

/** Expects that a socket is refused: no frame, only a close with 1013 and the time to wait. */
async function refusal(socket: ChatSocket): Promise<Closed> {
  const closed = await socket.closed;
  expect(socket.frames).toEqual([]);
  expect(closed.code).toBe(1013);
  const { retry_after_ms: wait } = JSON.parse(closed.reason) as { retry_after_ms: number };
  expect(wait).toBeGreaterThan(0);
  return closed;
}

const closeAll = (sockets: readonly ChatSocket[]) => Promise.all(sockets.map((socket) => socket.close()));

describe("every limit, reached over real sockets", () => {
  let service: Service;
  let url: string;
  const reached = new Set<string>();

  beforeAll(async () => {
    service = await startService(small);
    url = `${service.url}/ws/chat`;
  });

  afterAll(() => service.stop());

  const connections = async () => {
    const text = await (await service.http("/metrics")).text();
    return Number(/^chat_connections\{kind="anonymous"\} (\d+)$/m.exec(text)?.[1]);
  };
  /** Runs a test of a limit and checks that the counter of that limit increased. */
  const counted = (limit: LimitName, test: () => Promise<void>) => async () => {
    const before = await hits(service, limit);
    await test();
    expect(await hits(service, limit)).toBeGreaterThan(before);
    reached.add(limit);
  };
  const subject = (name: string, seconds = 600) => `${url}/auth?token=${tokenOf(name, seconds)}`;

  it(
    "refuses sockets over the limit of an address",
    counted("address_connections", async () => {
      const here = newAddress();
      const six = await Promise.all(Array.from({ length: 6 }, () => ChatSocket.greeted(url, [], here)));
      expect(await refusal(await ChatSocket.open(url, [], here))).toMatchObject({ code: 1013 });
      // Another address is not affected, and a freed place can be used again.
      await (await ChatSocket.greeted(url, [], newAddress())).close();
      await six[0]?.close();
      await expect.poll(connections).toBe(5);
      await closeAll([await ChatSocket.greeted(url, [], here), ...six.slice(1)]);
    }),
  );

  it(
    "refuses sockets over the total limit",
    counted("connections", async () => {
      const sockets: ChatSocket[] = [];
      // A tenth of the 24 is for authenticated clients.
      for (let index = 0; index < 22; index++) sockets.push(await ChatSocket.greeted(url, [], newAddress()));
      expect(await refusal(await ChatSocket.open(url, [], newAddress()))).toMatchObject({ code: 1013 });
      await closeAll(sockets);
    }),
  );

  it(
    "closes upgrades over the rate of an address with 1013, and then answers with HTTP 503",
    counted("upgrade_rate", async () => {
      const here = newAddress();
      for (let index = 0; index < 12; index++) await (await ChatSocket.greeted(url, [], here)).close();
      for (let index = 0; index < 12; index++) await refusal(await ChatSocket.open(url, [], here));
      await expect(ChatSocket.open(url, [], here)).rejects.toThrow("HTTP 503");
      await (await ChatSocket.greeted(url, [], newAddress())).close();
    }),
  );

  it(
    "refuses sockets over the limit of a client",
    counted("client_connections", async () => {
      const two = [
        await ChatSocket.greeted(subject("ada"), [], newAddress()),
        await ChatSocket.greeted(subject("ada"), [], newAddress()),
      ];
      const third = await ChatSocket.open(subject("ada"), [], newAddress());
      expect(await refusal(third)).toMatchObject({ code: 1013 });
      await (await ChatSocket.greeted(subject("bob"), [], newAddress())).close();
      await closeAll(two);
    }),
  );

  it(
    "answers frames over the rate of a socket with rate_limited, and then closes with 4429",
    counted("frame_rate", async () => {
      const [flood, calm] = [
        await ChatSocket.greeted(url, [], newAddress()),
        await ChatSocket.greeted(url, [], newAddress()),
      ];
      for (let index = 0; index < 60; index++) flood.send({ type: "ping" });
      expect(await flood.closed).toMatchObject({ code: 4429 });
      const errors = flood.frames.filter(({ type }) => type === "error");
      expect(errors).toHaveLength(20);
      expect(errors[0]).toMatchObject({ code: "rate_limited", retryable: true });
      expect(errors[0]?.["retry_after_ms"]).toBeGreaterThan(0);
      calm.send({ type: "ping" });
      await calm.next(({ type }) => type === "pong");
      await calm.close();
    }),
  );

  it(
    "limits the acks of a socket without counting them as frames",
    counted("ack_rate", async () => {
      const chat = await ChatSocket.greeted(url, ["chat.v1"], newAddress());
      const { answer } = await chat.ask("Hello");
      for (let index = 0; index < 12; index++) chat.send({ type: "ack", answer, to: 5 });
      expect(await chat.next(({ code }) => code === "rate_limited")).toMatchObject({ retryable: true });
      for (let index = 0; index < 15; index++) chat.send({ type: "ping" });
      await expect.poll(() => chat.frames.filter(({ type }) => type === "pong").length).toBe(15);
      await chat.close();
    }),
  );

  it(
    "limits the messages of a client over all its sockets",
    counted("message_rate", async () => {
      const two = [
        await ChatSocket.greeted(subject("eve"), [], newAddress()),
        await ChatSocket.greeted(subject("eve"), [], newAddress()),
      ] as const;
      for (let index = 0; index < 4; index++) {
        for (const chat of two) expect(await chat.ask("Hi")).toMatchObject({ type: "message" });
      }
      expect(await two[1].ask("Hi", { id: "late" })).toMatchObject({ code: "rate_limited", id: "late" });
      await closeAll(two);
    }),
  );

  it(
    "limits the messages of an address over all its anonymous clients",
    counted("address_message_rate", async () => {
      const here = newAddress();
      for (let session = 0; session < 3; session++) {
        const chat = await ChatSocket.greeted(url, [], here);
        for (let index = 0; index < 4; index++)
          expect(await chat.ask("Hi")).toMatchObject({ type: "message" });
        await chat.close();
      }
      const fourth = await ChatSocket.greeted(url, [], here);
      expect(await fourth.ask("Hi")).toMatchObject({ code: "rate_limited" });
      const named = await ChatSocket.greeted(subject("ann"), [], here);
      expect(await named.ask("Hi")).toMatchObject({ type: "message" });
      await closeAll([fourth, named]);
    }),
  );

  it(
    "closes a frame over the limit of bytes with 1009",
    counted("frame_bytes", async () => {
      const chat = await ChatSocket.greeted(url, [], newAddress());
      chat.send({ message: "x".repeat(2000) });
      expect(await chat.closed).toMatchObject({ code: 1009 });
    }),
  );

  it(
    "closes a socket with too many bad frames with 1008",
    counted("bad_frames", async () => {
      const chat = await ChatSocket.greeted(url, [], newAddress());
      for (let index = 0; index < 3; index++) chat.send("{");
      expect(await chat.closed).toMatchObject({ code: 1008 });
      expect(chat.frames.filter(({ code }) => code === "bad_frame")).toHaveLength(3);
    }),
  );

  it(
    "deletes the oldest conversation of a client over its limit, and none of another client (trap 24e)",
    counted("conversations", async () => {
      const other = await ChatSocket.greeted(subject("kim"), [], newAddress());
      await other.ask("keep this", { conversation: "a" });
      const flood = await ChatSocket.greeted(subject("dan"), [], newAddress());
      for (const conversation of ["a", "b", "c"]) await flood.ask("Hi", { conversation });
      flood.send({ type: "history", conversation: "a" });
      expect(await flood.next(({ type }) => type === "history")).toMatchObject({ turns: [] });
      other.send({ type: "history", conversation: "a" });
      const kept = await other.next(({ type }) => type === "history");
      expect(kept["turns"]).toHaveLength(2);
      await closeAll([other, flood]);
    }),
  );

  it("has a counter that starts at zero, even if another suite tests the limit", async () => {
    const elsewhere: LimitName[] = [
      "pending_messages",
      "active_answers",
      "buffered_bytes",
      "waiting_frames",
      "replay_rate",
      "http_connections",
      "http_requests",
      "http_connects",
      "descriptors",
    ];
    for (const limit of elsewhere) expect(await hits(service, limit)).toBe(0);
    expect([...reached, ...elsewhere].toSorted()).toEqual(Object.keys(limits).toSorted());
  });
});

describe("limits on running work", () => {
  it("refuse messages over the limits of a conversation and a client, and count them", async () => {
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "200",
      MAX_PENDING_MESSAGES: "1",
      MAX_ACTIVE_ANSWERS_PER_CLIENT: "1",
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    for (const id of ["a", "b", "c"]) chat.send({ message: "one two three four", id, conversation: "x" });
    expect(await chat.next(({ id }) => id === "c")).toMatchObject({ code: "busy", retry_after_ms: 1000 });
    chat.send({ message: "one", id: "d", conversation: "y" });
    expect(await chat.next(({ id }) => id === "d")).toMatchObject({ code: "busy" });
    expect(await hits(service, "pending_messages")).toBe(1);
    expect(await hits(service, "active_answers")).toBe(1);
    expect(service.stderr()).toContain("RATE_LIMITS is off");
    expect(service.log.some(({ msg }) => String(msg).startsWith("RATE_LIMITS is off"))).toBe(true);
    await chat.close();
    await service.stop();
  });

  it("cut slow readers over the limit of buffered bytes, while other readers continue", async () => {
    const answerBytes = 1_000_000;
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_ANSWER_BYTES: String(answerBytes),
      MAX_OUTPUT_TOKENS: "1000000",
      MAX_BUFFERED_MB: "1",
    });
    const stalled = await Promise.all(
      Array.from({ length: 32 }, () => ChatSocket.greeted(`${service.url}/ws/chat`)),
    );
    // A `message` frame contains a whole answer. Bytes in kernel buffers do not count as buffered, so each socket gets
    // several frames. The kernel may buffer nearly four of them, which leaves only a few kilobytes per socket, so many
    // sockets are needed.
    for (const socket of stalled) {
      socket.pause();
      for (let index = 0; index < 6; index++) socket.send({ message: "Hi", id: `i${index}` });
    }
    const startedAt = Date.now();
    while ((await hits(service, "buffered_bytes")) === 0) {
      if (Date.now() - startedAt > 40_000) throw new Error("the limit was not reached within 40 s");
      await pause(50);
    }
    const text = await (await service.http("/metrics")).text();
    const held = Number(/^chat_buffered_bytes (\d+)$/m.exec(text)?.[1]);
    expect(held).toBeLessThanOrEqual(1_048_576);
    const closing = stalled.map(async (socket) => {
      socket.resume();
      return (await socket.closed).code;
    });
    expect(await Promise.race(closing)).toBe(1006);
    for (const socket of stalled) socket.cut();
    const healthy = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const end = await healthy.ask("Hi");
    expect(String(end["content"])).toHaveLength(answerBytes);
    await healthy.close();
    await service.stop();
  });
});

describe("the default limits", () => {
  it("are not reached by 300 users behind one address who connect, chat and reconnect at once", async () => {
    const service = await startService({ AI_PROVIDER: "echo", RATE_LIMITS: "on" });
    const people = 300;
    for (let round = 0; round < 2; round++) {
      const chats = await Promise.all(
        Array.from({ length: people }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
      );
      const ends = await Promise.all(chats.map((chat, index) => chat.ask(`Hello from ${index}`)));
      expect(ends.map(({ content }) => content)).toEqual(chats.map((_, index) => `Hello from ${index}`));
      for (const chat of chats) chat.cut();
    }
    const text = await (await service.http("/metrics")).text();
    const hit = [...text.matchAll(/^chat_limit_hits_total\{limit="(\w+)"\} [1-9]/gm)].map(
      ([, limit]) => limit,
    );
    expect(hit).toEqual([]);
    expect(service.stderr()).not.toContain("RATE_LIMITS");
    await service.stop();
  });
});

describe("a client over its limit of sockets with ON_CLIENT_LIMIT=replace", () => {
  it("has its oldest socket closed with 4409; a refreshed token keeps a socket open until it expires with 4408", async () => {
    const service = await startService({
      AI_PROVIDER: "echo",
      JWT_SECRET,
      MAX_CONNECTIONS_PER_CLIENT: "1",
      ON_CLIENT_LIMIT: "replace",
    });
    const url = (seconds: number) => `${service.url}/ws/chat/auth?token=${tokenOf("ada", seconds)}`;
    const first = await ChatSocket.greeted(url(60));
    const second = await ChatSocket.greeted(url(6));
    expect(await first.closed).toMatchObject({ code: 4409 });
    second.send({ type: "auth.refresh", token: tokenOf("bob", 60) });
    expect(await second.next(({ type }) => type === "error")).toMatchObject({ code: "token_refused" });
    second.send({ type: "auth.refresh", token: tokenOf("ada", 12) });
    expect(await second.next(({ event }) => event === "auth_refreshed")).toMatchObject({
      expires_at: expect.any(Number) as unknown,
    });
    // Past the end of the first token, and well before the end of the second one.
    await pause(7000);
    expect(await second.ask("Still here?")).toMatchObject({ type: "message", content: "Still here?" });
    expect(await second.closed).toMatchObject({ code: 4408 });
    await service.stop();
  });
});
