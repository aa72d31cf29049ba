import fc from "../support/property-tests.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrameDecoder } from "../../src/protocol/codec.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { acceptedFrames, refusedFrames, wirePieces } from "../support/frame-corpus.ts";
import { mutatedBytes, mutatedFrames } from "../support/frame-mutations.ts";
import { startService, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";

/** Seed of the mutations. Another value tests other mutations. */
const SEED = 20_261_123;
const PARALLEL = 16;

/** Decoder with the limits of the service under test. */
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

/** Processes all inputs, a few at a time. @returns the problems found */
async function inParallel<T>(inputs: readonly T[], work: (next: Iterator<T>) => Promise<string[]>) {
  const next = inputs.values();
  const problems = await Promise.all(Array.from({ length: PARALLEL }, () => work(next)));
  return problems.flat();
}

describe("the service, given mutations of the frame corpus,", () => {
  it("answers every frame with a frame or a documented close", async () => {
    const mutated = fc.sample(mutatedFrames(corpus), { seed: SEED, numRuns: 10_000 });
    const inputs = [...corpus, ...mutated].filter((text) => Buffer.byteLength(text) <= MAX_FRAME_BYTES);
    const problems = await inParallel(inputs, async (next) => {
      const found: string[] = [];
      let socket = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
      for (let { value, done } = next.next(); done !== true; { value, done } = next.next()) {
        if (socket.isClosed) socket = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
        const problem = await frameProblem(socket, value);
        if (problem !== null) found.push(`${value.slice(0, 120)}: ${problem}`);
      }
      await socket.close();
      return found;
    });
    expect(problems).toEqual([]);
    await expectHealthy();
  }, 60_000);

  it("survives every kind of broken framing and sends only valid frames itself", async () => {
    const mutated = fc.sample(mutatedBytes(wirePieces()), { seed: SEED, numRuns: 3_000 });
    const problems = await inParallel([...wirePieces(), ...mutated], async (next) => {
      const found: string[] = [];
      for (let { value, done } = next.next(); done !== true; { value, done } = next.next()) {
        const problem = await wireProblem(value);
        if (problem !== null) found.push(`${value.toString("hex").slice(0, 120)}: ${problem}`);
      }
      return found;
    });
    expect(problems).toEqual([]);
    await expectHealthy();
  }, 60_000);
});

async function expectHealthy(): Promise<void> {
  expect(await bystander.command("/help")).toMatchObject({ status: "success" });
  expect(service.log.filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
  const metrics = await (await service.http("/metrics")).text();
  expect(metrics).toMatch(/^chat_answers_running 0$/m);
}

/** Null if the reply to the frame is as documented, else a description. */
async function frameProblem(socket: ChatSocket, text: string): Promise<string | null> {
  const from = socket.frames.length;
  // Half a surrogate pair is replaced when the text is encoded, so decode what the server receives.
  const decoded = decode(Buffer.from(text).toString());
  socket.send(text);
  // An ack has no reply. The pong shows that it was accepted.
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

/** Null if the connection continued or ended in an allowed way, else a description. */
async function wireProblem(bytes: Buffer): Promise<string | null> {
  const client = await WireClient.greeted(service.port);
  client.write(bytes);
  // Ends a connection that is still open: it is dropped inside a frame, else closed.
  client.halfClose();
  try {
    // Rejects if the server sent a broken frame.
    await client
      .next(() => false)
      .catch((error: Error) => {
        if (!error.message.startsWith("closed with")) throw error;
      });
  } catch (error) {
    return (error as Error).message;
  }
  const { code } = await client.closed;
  // A close frame of the client is answered with the same code.
  const echoed = bytes.includes(closeCodeBytes(code)) || bytes.includes(0x88);
  return documented.has(code) || code === 1006 || echoed ? null : `closed with ${code}`;
}

function closeCodeBytes(code: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return bytes;
}
