import fc from "../support/property-tests.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { startService, until, type Service } from "../support/service.ts";

/** An input, and the close code that it must cause. */
interface Hostile {
  readonly kind: string;
  readonly data: string | Buffer;
  /** Send the bytes unchanged as a text frame. */
  readonly rawText?: boolean;
  /** Expected close code; undefined if a reply frame is expected. */
  readonly closes?: number;
}

const SEED = 20_251_101;
const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] =>
  fc.sample(arbitrary, { seed: SEED, numRuns: count });

const wrongValues = [null, true, -1, 1.5, 1e308, "", "x".repeat(65), [], {}, [[]], "\u0000", "é\u202e"];
const fields = [
  "message",
  "id",
  "conversation",
  "stream",
  "max_tokens",
  "temperature",
  "seed",
  "type",
  "answer",
  "session",
  "answers",
  "__proto__",
  "constructor",
  "toString",
  "nope",
];
const types = ["message", "cancel", "resume", "ping", "ack", "history", "auth.refresh", "x", "__proto__"];

function wrongFields(): Hostile[] {
  return types.flatMap((type) =>
    fields.flatMap((field) =>
      wrongValues.map((value): Hostile => {
        const frame = `{"type":${JSON.stringify(type)},"message":"hi",${JSON.stringify(field)}:${JSON.stringify(value)}}`;
        return { kind: `${type}.${field}`, data: frame };
      }),
    ),
  );
}

function nested(depth: number, open: string, close: string): string {
  return open.repeat(depth) + close.repeat(depth);
}

function generated(): Hostile[] {
  const text =
    (kind: string) =>
    (data: string): Hostile => ({ kind, data });
  const command = fc
    .tuple(
      fc.constantFrom("analyze", "translate", "setcontext", "help", "clear", "x"),
      fc.string({ unit: fc.constantFrom(..."\"'“”‘’\\= /ab\n\t{}[]🙂") }),
    )
    .map(([name, rest]) => JSON.stringify({ message: `/${name} ${rest}` }));
  return [
    ...sample(fc.uint8Array({ minLength: 0, maxLength: 300 }), 200).map((bytes): Hostile => ({
      kind: "binary",
      data: Buffer.from(bytes),
    })),
    ...sample(fc.string({ unit: "binary", maxLength: 200 }), 200).map((it) =>
      text("random text")(it.replaceAll(/\p{Surrogate}/gu, "?")),
    ),
    ...sample(fc.json(), 200).map(text("random JSON")),
    ...sample(fc.dictionary(fc.constantFrom(...fields), fc.jsonValue()), 200).map((it) =>
      text("random fields")(JSON.stringify(it)),
    ),
    ...sample(command, 200).map(text("quotes in a command")),
    ...[10, 100, 1000, 10_000, 30_000].flatMap((depth) => [
      text("deep array")(nested(depth, "[", "]")),
      text("deep object")(
        `${'{"a":'.repeat(Math.min(depth, 10_000))}1${"}".repeat(Math.min(depth, 10_000))}`,
      ),
      text("deep message")(`{"message":${nested(depth, "[", "]")}}`),
    ]),
    ...["\\ud800", "\\udfff", "a\\ud83d", "\\udc00\\ud800"].flatMap((it) => [
      text("lone surrogate")(`{"message":"${it}"}`),
      text("lone surrogate")(`{"message":"hi","id":"${it}"}`),
      text("lone surrogate")(`{"message":"/setcontext text=\\"${it}\\""}`),
    ]),
    ...["\\u0000", "\\u0000\\u0000a", "a\\u0001\\u001b[31m", "\\u2028\\u202e"].map((it) =>
      text("control characters")(`{"message":"${it}"}`),
    ),
    text("duplicate keys")('{"message":"a","message":"b"}'),
    text("huge numbers")('{"message":"a","max_tokens":1e999,"seed":99999999999999999999}'),
    text("long id")(JSON.stringify({ message: "a", id: "i".repeat(60_000) })),
    text("long message")(JSON.stringify({ message: "m".repeat(40_000) })),
    text("60 KB of context")(JSON.stringify({ message: `/setcontext text="${"c".repeat(31_000)}"` })),
    { kind: "100 KB", data: JSON.stringify({ message: "x".repeat(100_000) }), closes: 1009 },
    { kind: "100 KB binary", data: Buffer.alloc(100_000), closes: 1009 },
    { kind: "1 MB", data: "y".repeat(1_000_000), closes: 1006 },
    { kind: "bad UTF-8", data: Buffer.from([0x22, 0xc3, 0x28, 0x22]), rawText: true, closes: 1006 },
    { kind: "bad UTF-8", data: Buffer.from('{"message":"\xff"}', "latin1"), rawText: true, closes: 1006 },
  ];
}

describe("hostile input", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({ AI_PROVIDER: "echo", MAX_BAD_FRAMES: "100000" });
  });

  afterAll(() => service.stop());

  it("gets a reply frame or the expected close code for each of over 2,000 inputs, and the service keeps running", async () => {
    const inputs = [...wrongFields(), ...generated()];
    expect(inputs.length).toBeGreaterThanOrEqual(2000);
    const problems: string[] = [];
    const next = inputs.values();
    const work = async (): Promise<void> => {
      let socket: ChatSocket | null = null;
      for (const input of next) {
        socket =
          socket === null || socket.isClosed
            ? await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)
            : socket;
        const problem = await outcomeProblem(socket, input);
        if (problem !== null) problems.push(`${input.kind}: ${problem}: ${String(input.data).slice(0, 80)}`);
      }
      await socket?.close();
    };
    await Promise.all(Array.from({ length: 20 }, work));
    expect(problems).toEqual([]);
    await until(() => service.log.every(({ level }) => level !== "error" && level !== "fatal"), 1);
    expect((await service.http("/healthz")).status).toBe(200);
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_answers_running 0$/m);
  }, 120_000);

  it("closes the socket with 1008 after too many bad frames", async () => {
    const strict = await startService({ AI_PROVIDER: "echo", MAX_BAD_FRAMES: "5" });
    const chat = await ChatSocket.greeted(`${strict.url}/ws/chat`);
    for (let index = 0; index < 6; index++) chat.send("not json");
    expect(await chat.closed).toMatchObject({ code: 1008 });
    expect(chat.frames.filter(({ code }) => code === "bad_frame")).toHaveLength(6);
    await strict.stop();
  });

  it("gets an error frame that names the field and what was expected", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    chat.send({ message: "hi", max_tokens: 100_000, id: "mine" });
    expect(await chat.next(({ type }) => type === "error")).toMatchObject({
      code: "bad_frame",
      id: "mine",
      message: expect.stringMatching(/max_tokens.*<= 512/) as unknown,
    });
    await chat.close();
  });
});

/** Null if the input was answered or closed as expected, else a description. */
async function outcomeProblem(socket: ChatSocket, input: Hostile): Promise<string | null> {
  const from = socket.frames.length;
  if (input.rawText === true) socket.sendRawText(input.data as Buffer);
  else socket.send(input.data);
  const ended = await Promise.race([socket.next(isEnd, from).catch(() => socket.closed), socket.closed]);
  if ("type" in ended) {
    if (input.closes === undefined) return null;
    // An error frame is sent before the close with 1009.
    const { code } = await socket.closed;
    return code === input.closes ? null : `closed with ${code}`;
  }
  const { code } = ended;
  return code === input.closes ? null : `closed with ${code}`;
}

function isEnd({ type, event }: Frame): boolean {
  return ["message", "command_response", "error", "pong"].includes(type) || event === "resumed";
}
