import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";
import { opcodes } from "../support/wire-frames.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({
    AI_PROVIDER: "echo",
    ECHO_TOKEN_MS: "5",
    MAX_BUFFERED_MB: "1",
    RATE_LIMITS: "on",
  });
});
afterAll(() => service.stop());

async function metric(name: string): Promise<number> {
  const text = await (await service.http("/metrics")).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
}

describe("pings and pongs of the WebSocket protocol", () => {
  it.each([
    ["pings", opcodes.ping],
    ["pongs", opcodes.pong],
  ])("close the socket of a client that floods it, without an error frame: %s", async (_name, opcode) => {
    const client = await WireClient.greeted(service.port);
    const welcome = client.frames.length;
    for (let count = 0; count < 300; count++) client.frame(opcode, "x".repeat(100));
    expect((await client.closed).code).toBe(4429);
    expect(client.frames).toHaveLength(welcome);
  });

  it("at the rate of a real client are answered and close nothing", async () => {
    const client = await WireClient.greeted(service.port);
    for (let count = 1; count <= 20; count++) {
      client.frame(opcodes.ping, `${count}`);
      await expect.poll(() => client.pongs.length).toBe(count);
    }
    expect(client.isClosed).toBe(false);
    client.cut();
  });

  it("whose pongs are never read leave other clients served, and their bytes are released", async () => {
    const honest = await ChatSocket.open(`${service.url}/ws/chat?stream=1`);
    const flooding = await Promise.all(Array.from({ length: 30 }, () => WireClient.greeted(service.port)));
    for (const client of flooding) client.pause();
    for (let round = 0; round < 300; round++) {
      for (const client of flooding) client.frame(opcodes.ping, "x".repeat(125));
    }
    honest.send({ message: "Still there?", id: "a" });
    const { finish_reason: reason } = await honest.next(({ type }) => type === "message");
    expect(reason).toBe("stop");
    for (const client of flooding) client.resume();
    await Promise.all(flooding.map(({ closed }) => closed));
    await expect.poll(() => metric("chat_buffered_bytes")).toBe(0);
    await honest.close();
  });
});
