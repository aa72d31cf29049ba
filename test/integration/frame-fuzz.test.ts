import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrameDecoder } from "../../src/protocol/codec.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { acceptedFrames, refusedFrames, wirePieces } from "../support/frame-corpus.ts";
import { mutatedBytes, mutatedFrames } from "../support/frame-mutations.ts";
import { startService, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";

/** Changing it looks elsewhere. */
const SEED = 20_261_123;
const PARALLEL = 16;

/** The limits of the service under test. */
const decode = createFrameDecoder({ maxMessageChars: 32_000, maxOutputTokens: 512 });
const MAX_FRAME_BYTES = 65_536;

const corpus = [...acceptedFrames(), ...refusedFrames()];
const documented = new Set<number>(Object.values(closeCodes).map(({ code }) => code));

let service: Service;
let bystander: ChatSocket;

beforeAll(async () => {
  service = await startService({ AI_PROVIDER: "echo", MAX_BAD_FRAMES: "100000" });
  bystander = await ChatSocket.greeted(`${service.url}/ws/chat`);
});

afterAll(async () => {
  await bystander.close();
  await service.stop();
});

/** Works on all inputs, a few at a time; the faults found. */
async function inParallel<T>(inputs: readonly T[], work: (next: Iterator<T>) => Promise<string[]>) {
  const next = inputs.values();
  const faults = await Promise.all(Array.from({ length: PARALLEL }, () => work(next)));
  return faults.flat();
}

describe("the service, given mutations of the corpus,", () => {
  it("answers every frame with a frame or a documented close", async () => {
    const mutated = fc.sample(mutatedFrames(corpus), { seed: SEED, numRuns: 10_000 });
    const inputs = [...corpus, ...mutated].filter((text) => Buffer.byteLength(text) <= MAX_FRAME_BYTES);
    const faults = await inParallel(inputs, async (next) => {
      const found: string[] = [];
      let socket = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
      for (let { value, done } = next.next(); done !== true; { value, done } = next.next()) {
        if (socket.isClosed) socket = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
        const fault = await frameFault(socket, value);
        if (fault !== null) found.push(`${value.slice(0, 120)}: ${fault}`);
      }
      await socket.close();
      return found;
    });
    expect(faults).toEqual([]);
    await expectHealthy();
  }, 60_000);

  it("survives every kind of broken framing, and breaks none itself", async () => {
    const mutated = fc.sample(mutatedBytes(wirePieces()), { seed: SEED, numRuns: 3_000 });
    const faults = await inParallel([...wirePieces(), ...mutated], async (next) => {
      const found: string[] = [];
      for (let { value, done } = next.next(); done !== true; { value, done } = next.next()) {
        const fault = await wireFault(value);
        if (fault !== null) found.push(`${value.toString("hex").slice(0, 120)}: ${fault}`);
      }
      return found;
    });
    expect(faults).toEqual([]);
    await expectHealthy();
  }, 60_000);
});

async function expectHealthy(): Promise<void> {
  expect(await bystander.command("/help")).toMatchObject({ status: "success" });
  expect(service.log.filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
  const metrics = await (await service.http("/metrics")).text();
  expect(metrics).toMatch(/^chat_answers_running 0$/m);
}

/** Null when the frame got what the contract says. */
async function frameFault(socket: ChatSocket, text: string): Promise<string | null> {
  const from = socket.frames.length;
  // The other end sees what is left of half a surrogate pair.
  const decoded = decode(Buffer.from(text).toString());
  socket.send(text);
  // A frame without a reply is proved to have been taken by the reply to the next.
  if (decoded.ok && decoded.frame.type === "ack") socket.send({ type: "ping" });
  const reply = await socket.next(isReply, from).catch(() => null);
  if (reply === null) {
    const { code } = await socket.closed;
    return documented.has(code) ? null : `closed with ${code}`;
  }
  const refused = reply.type === "error" && reply["code"] === "bad_frame";
  return decoded.ok || refused ? null : `answered with ${reply.type}`;
}

function isReply({ type, event }: Frame): boolean {
  if (type === "system") return event === "resumed" || event === "auth_refreshed";
  return ["message", "command_response", "error", "pong", "history"].includes(type);
}

/** Null when the connection went on or ended in an allowed way. */
async function wireFault(bytes: Buffer): Promise<string | null> {
  const client = await WireClient.greeted(service.port);
  client.write(bytes);
  // Ends what may still be open: inside a frame the line is dropped, else the close frame is answered.
  client.halfClose();
  try {
    // Rejects when the server broke the framing.
    await client
      .next(() => false)
      .catch((error: Error) => {
        if (!error.message.startsWith("closed with")) throw error;
      });
  } catch (error) {
    return (error as Error).message;
  }
  const { code } = await client.closed;
  // A close frame of the client comes back with its own code.
  const echoed = bytes.includes(closeCodeBytes(code)) || bytes.includes(0x88);
  return documented.has(code) || code === 1006 || echoed ? null : `closed with ${code}`;
}

function closeCodeBytes(code: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return bytes;
}
