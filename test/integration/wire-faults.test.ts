import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, until, type Service } from "../support/service.ts";
import { serverTurn } from "../support/server-turn.ts";
import { WireClient } from "../support/wire-client.ts";
import { closeFrame, opcodes, wireFrame, type FrameShape } from "../support/wire-frames.ts";

const PING = '{"type":"ping"}';
const OTHER_KEY = Buffer.from([9, 8, 7, 6]);

/** The first ABI with the newer binary of uWebSockets.js: docs/decisions/2026-11-30-binaries-by-node-version.md. */
const NODE_22_ABI = 127;

const UPGRADE_HEADERS = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "",
].join("\r\n");

const text = (payload: Buffer | string, shape: FrameShape = {}) => wireFrame(opcodes.text, payload, shape);
const more = (payload: Buffer | string, shape: FrameShape = {}) =>
  wireFrame(opcodes.continuation, payload, shape);
const bytes = (...values: number[]) => Buffer.from(values);

/** Bytes that a client sends after the welcome, in one or several writes. */
type Sent = Buffer | readonly Buffer[];

let service: Service;
let bystander: ChatSocket;

beforeAll(async () => {
  service = await startService({
    AI_PROVIDER: "echo",
    MAX_BAD_FRAMES: "1000",
    MAX_OUTPUT_TOKENS: "100000",
    IDLE_TIMEOUT_SECONDS: "8",
  });
  bystander = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
});

afterAll(async () => {
  await bystander.close();
  await service.stop();
});

async function write(sent: Sent): Promise<WireClient> {
  const client = await WireClient.greeted(service.port);
  for (const part of Buffer.isBuffer(sent) ? [sent] : sent) client.write(part);
  return client;
}

/** Expects that the server still answers another client. */
async function expectOthersServed(): Promise<void> {
  expect(await bystander.ask("still there?")).toMatchObject({ type: "message", content: "still there?" });
}

describe("unusual but allowed framing", () => {
  it.each<[string, Sent]>([
    ["in one frame", text(PING)],
    ["in fragments", [text('{"type":', { fin: false }), more('"ping"}')]],
    ["in fragments of one byte", [...PING].map((char, at) => fragment(char, at, PING.length))],
    ["with empty fragments", [text("", { fin: false }), more("", { fin: false }), more(PING)]],
    [
      "with control frames between its fragments",
      [
        text('{"type":', { fin: false }),
        wireFrame(opcodes.ping, "between"),
        wireFrame(opcodes.pong, "unsolicited"),
        more('"ping"}'),
      ],
    ],
    ["with a mask of zero", text(PING, { mask: bytes(0, 0, 0, 0) })],
    ["with a longer length encoding than necessary", longForm(PING)],
    ["followed by another one in the same packet", Buffer.concat([text(PING), text(PING)])],
    ["sent byte by byte", [...text(PING)].map((byte) => bytes(byte))],
  ])("a message %s is accepted", async (_name, sent) => {
    const client = await write(sent);
    expect(await client.next(({ type }) => type === "pong")).toEqual({ type: "pong" });
    expect(client.frames.filter(({ type }) => type === "error")).toEqual([]);
    expect(await client.close(1000)).toMatchObject({ code: 1000 });
  });

  it("a ping between fragments is answered with its own payload", async () => {
    const payload = Buffer.alloc(125, 0xab);
    const client = await write([text('{"type"', { fin: false }), wireFrame(opcodes.ping, payload)]);
    expect((await client.pong(0)).equals(payload)).toBe(true);
    await client.close(1000);
  });

  it("a character may be split across two fragments", async () => {
    const whole = Buffer.from('{"message":"東京 🙂","id":"split"}');
    const at = whole.indexOf(Buffer.from("🙂")) + 2;
    const client = await write([text(whole.subarray(0, at), { fin: false }), more(whole.subarray(at))]);
    expect(await client.next(({ type }) => type === "message")).toMatchObject({ content: "東京 🙂" });
    await client.close(1000);
  });

  it.each<[string, Sent]>([
    ["an empty text frame", text("")],
    ["a binary frame", wireFrame(opcodes.binary, bytes(1, 2, 3))],
    ["a binary frame in fragments", [wireFrame(opcodes.binary, "a", { fin: false }), more("b")]],
    [
      "text masked with a key other than the one in the header",
      text("nonsense", { maskedWith: bytes(0x37, 0xfa, 0x21, 0x3c) }),
    ],
  ])("%s is answered with an error frame, and the socket stays open", async (_name, sent) => {
    const client = await write(sent);
    expect(await client.next(({ type }) => type === "error")).toMatchObject({ code: "bad_frame" });
    client.send({ type: "ping" });
    await client.next(({ type }) => type === "pong");
    await client.close(1000);
  });

  it("fragments that together exceed MAX_FRAME_BYTES get an error frame and a close with 1009", async () => {
    const part = "x".repeat(20_000);
    const client = await write([
      text(part, { fin: false }),
      ...[1, 2].map(() => more(part, { fin: false })),
      more(part),
    ]);
    expect(await client.next(({ type }) => type === "error")).toMatchObject({ code: "frame_too_big" });
    expect(await client.closed).toMatchObject({ code: 1009 });
    await expectOthersServed();
  });
});

describe("a connection is dropped without a close frame for", () => {
  it.each<[string, Sent]>([
    ["more than four times MAX_FRAME_BYTES in one frame", text("x".repeat(300_000))],
    ["more than four times MAX_FRAME_BYTES in fragments", tooManyFragments()],
    ["a huge declared length without a payload", text("", { declaredLength: 2n ** 40n })],
    ["the largest possible declared length", text("", { declaredLength: 2n ** 64n - 1n })],
    ["bytes that are not UTF-8", text(bytes(0x22, 0xc3, 0x28, 0x22))],
    ["text that ends inside a character", text(Buffer.from("東").subarray(0, 2))],
    ["an overlong UTF-8 encoding", text(bytes(0xc0, 0xaf))],
    ["half a surrogate pair encoded as UTF-8", text(bytes(0xed, 0xa0, 0x80))],
    ["a code point beyond Unicode", text(bytes(0xf5, 0x80, 0x80, 0x80))],
    ["invalid UTF-8 across fragments", [text(bytes(0xe6, 0x9d), { fin: false }), more(bytes(0x22))]],
    [
      "text that is invalid UTF-8 after unmasking with the key of the header",
      text("東京東京東京", { maskedWith: OTHER_KEY }),
    ],
    ["reserved bit 1", text(PING, { reserved: 4 })],
    ["reserved bit 2", text(PING, { reserved: 2 })],
    ["reserved bit 3", text(PING, { reserved: 1 })],
    ["a reserved data opcode", wireFrame(3, PING)],
    ["a reserved control opcode", wireFrame(11)],
    ["a control frame in fragments", wireFrame(opcodes.ping, "", { fin: false })],
    ["a control frame over 125 bytes", wireFrame(opcodes.ping, Buffer.alloc(126))],
    ["a continuation frame without a message", more(PING)],
    ["a new message between fragments", [text("{", { fin: false }), text(PING)]],
  ])("%s", async (_name, sent) => {
    const client = await write(sent);
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(client.frames.map(({ type }) => type)).toEqual(["system"]);
    await expectOthersServed();
  });
});

describe("a close frame of the client", () => {
  it.each<[string, Buffer, number]>([
    ["with a code", closeFrame(1000, "bye"), 1000],
    ["with an application code", closeFrame(4321), 4321],
    ["without a code", closeFrame(), 1005],
  ])("%s is answered and ends the connection", async (_name, frame, code) => {
    const client = await write(frame);
    expect((await client.closed).code).toBe(code);
  });

  it.each<[string, Buffer]>([
    ["with a code that must not be sent", closeFrame(1005)],
    ["with a code out of range", closeFrame(99)],
    ["with half a code", wireFrame(opcodes.close, bytes(3))],
    ["with a reason that is not UTF-8", closeFrame(1000, bytes(0xff))],
  ])("%s also ends the connection", async (_name, frame) => {
    const client = await write(frame);
    expect(client.isClosed || (await client.closed)).toBeTruthy();
    await expectOthersServed();
  });

  it("ends the connection, and frames after it are not read", async () => {
    const client = await write([closeFrame(1000), text('{"message":"late","id":"late"}')]);
    await client.closed;
    expect(client.frames.some(({ id }) => id === "late")).toBe(false);
  });
});

/** One character of a message of `length` characters, as a separate fragment. */
function fragment(char: string, at: number, length: number): Buffer {
  return wireFrame(at === 0 ? opcodes.text : opcodes.continuation, char, { fin: at === length - 1 });
}

/** A short payload with its length encoded in three bytes, which RFC 6455 forbids but servers accept. */
function longForm(payload: string): Buffer {
  const frame = text(payload);
  const length = (frame[1] as number) & 0x7f;
  return Buffer.concat([bytes(frame[0] as number, 0x80 | 126, 0, length), frame.subarray(2)]);
}

function tooManyFragments(): Buffer[] {
  const part = "x".repeat(50_000);
  return [text(part, { fin: false }), ...Array.from({ length: 6 }, () => more(part, { fin: false }))];
}

describe("slow and broken connections", () => {
  it("a handshake sent byte by byte is accepted", async () => {
    const client = await WireClient.greeted(service.port, { drip: 3 });
    client.send({ type: "ping" });
    expect(await client.next(({ type }) => type === "pong")).toEqual({ type: "pong" });
    await client.close(1000);
  });

  // The older uWebSockets.js binary, for Node.js 20, needs the request line in one piece: docs/protocol.md.
  it("a request line in two pieces is accepted, or refused at once with an HTTP status", async () => {
    const client = new WireClient(service.port, { handshakeBytes: 0 });
    client.write("GET /ws/ch");
    await client.written();
    await serverTurn(service.port);
    client.write(`at?stream=true HTTP/1.1\r\nHost: 127.0.0.1:${service.port}\r\n${UPGRADE_HEADERS}\r\n`);
    if (Number(process.versions.modules) >= NODE_22_ABI) {
      await client.next(({ event }) => event === "welcome");
      expect(await client.close(1000)).toMatchObject({ code: 1000 });
    } else {
      expect(await client.closed).toMatchObject({ code: 1006 });
      expect(client.head).toMatch(/^HTTP\/1\.1 505 /);
    }
    await expectOthersServed();
  });

  it("bytes that are not a WebSocket request are not upgraded", async () => {
    for (const greeting of [
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "GET / HTTP/9\r\n\r\n",
      "\r\n\r\n\r\n",
    ]) {
      const client = new WireClient(service.port, { handshakeBytes: 0 });
      client.write(Buffer.from(greeting, "latin1"));
      client.halfClose();
      await client.closed;
      expect(client.head).not.toMatch(/^HTTP\/1.1 101/);
    }
    await expectOthersServed();
  });

  it("a client that half-closes without a close frame is disconnected, and its place is free", async () => {
    const client = await write([]);
    await expect.poll(connections).toBe(2);
    client.halfClose();
    await client.closed;
    await expect.poll(connections).toBe(1);
  });

  it("clients that stop in the handshake, in a frame or after it do not block others and are dropped in time", async () => {
    await expect.poll(connections).toBe(1);
    const stuck = Array.from({ length: 100 }, () => new WireClient(service.port, { handshakeBytes: 60 }));
    const silent = await WireClient.greeted(service.port, { answersPings: false });
    const inside = await WireClient.greeted(service.port, { answersPings: false });
    inside.write(text(PING).subarray(0, 7));
    const answering = await WireClient.greeted(service.port);
    await expectOthersServed();
    for (const client of [silent, inside, ...stuck]) expect((await client.closed).code).toBe(1006);
    expect(stuck.every(({ head }) => !head.startsWith("HTTP/1.1 101"))).toBe(true);
    expect(answering.isClosed).toBe(false);
    await answering.close(1000);
    await expect.poll(connections).toBe(1);
  });

  it("a very slow reader gets every byte in order, and its close frame", async () => {
    const client = await WireClient.greeted(service.port);
    const message = Array.from({ length: 250 }, (_, index) => `${index} ${"sip".repeat(35)}`).join(" ");
    client.readInSips(2);
    for (let index = 0; index < 8; index++)
      client.send({ message, id: `m${index}`, conversation: `c${index % 4}` });
    const ends = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        client.next((frame) => frame.type === "message" && frame["id"] === `m${index}`),
      ),
    );
    for (const end of ends) expect(end["content"]).toBe(message);
    client.write(text("x".repeat(70_000)));
    expect(await client.closed).toMatchObject({ code: 1009 });
  });

  it("a reset in mid-answer frees the connection and logs no error", async () => {
    const client = await WireClient.greeted(service.port);
    client.send({ message: "x".repeat(20_000), id: "m" });
    await client.next(({ type }) => type === "token");
    client.cut();
    await client.closed;
    await expect.poll(connections).toBe(1);
    await until(() => service.log.every(({ level }) => level !== "error"), 1);
  });
});

it("after all tests the service still answers the uninvolved client and has logged no error", async () => {
  expect(await bystander.command("/help")).toMatchObject({ status: "success" });
  expect(service.log.filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
});

/** Number of connections, including that of the bystander. */
async function connections(): Promise<number> {
  const metrics = await (await service.http("/metrics")).text();
  return Number(/^chat_connections\{kind="anonymous"\} (\d+)$/m.exec(metrics)?.[1]);
}
