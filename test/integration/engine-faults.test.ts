import { describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { isAlive, startService, until } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

describe("when the engine dies", () => {
  it("ends its answers with retryable errors, keeps every socket, and answers the next message", async () => {
    const service = await startService({
      MODEL_PATH: await tinyModel(),
      LOCAL_SLOTS: "8",
      MAX_OUTPUT_TOKENS: "1500",
    });
    const sockets = await Promise.all(
      Array.from({ length: 8 }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
    );
    const ends = sockets.map((socket, index) =>
      socket.ask("go on for long", { id: `m${index}`, seed: index }),
    );
    await Promise.all(sockets.map((socket) => socket.next(({ type }) => type === "token")));
    process.kill(service.enginePid() as number, "SIGKILL");
    for (const end of await Promise.all(ends)) {
      expect(end).toMatchObject({ type: "error", code: "engine_crashed", retryable: true });
    }
    const again = await Promise.all(sockets.map((socket) => socket.ask("are you there?", { max_tokens: 4 })));
    expect(again.map(({ type }) => type)).toEqual(Array.from({ length: 8 }, () => "message"));
    expect(sockets.some((socket) => socket.isClosed)).toBe(false);
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_engine_restarts_total 1$/m);
    expect(metrics).toMatch(/^chat_requests_running 0$/m);
    await service.stop();
  });

  it("goes with main, even when main is killed", async () => {
    const service = await startService({ MODEL_PATH: await tinyModel() });
    const engine = service.enginePid() as number;
    expect(isAlive(engine)).toBe(true);
    service.kill("SIGKILL");
    await service.exited;
    await until(() => !isAlive(engine));
  });
});
