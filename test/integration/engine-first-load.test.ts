import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

/** Kills the first child of a process, the engine, as soon as it exists. */
async function killEngineOf(pid: number): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 5) {
    const [engine] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    if (engine !== undefined && engine !== "") {
      process.kill(Number(engine), "SIGKILL");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("no engine process was started");
}

/** The gateway once exited with code 13 and an empty log: only a timer that keeps no process alive was left. */
describe("an engine that is killed while it loads its first model", () => {
  let upstream: FaultServer;
  beforeAll(async () => {
    upstream = await startFaultServer();
  });
  afterAll(() => upstream.close());

  it("is replaced by the next provider, and the log has the signal", async () => {
    let killed: Promise<void> | undefined;
    const service = await startService(
      {
        AI_PROVIDER: "local",
        MODEL_PATH: await tinyModel(),
        AI_FALLBACK: "openai",
        OPENAI_API_KEY: "sk-never-to-be-seen-0123456789",
        OPENAI_BASE_URL: upstream.baseUrl,
      },
      (pid) => void (killed = killEngineOf(pid)),
    );
    await killed;
    expect(service.log).toContainEqual(
      expect.objectContaining({ msg: "engine process failed to start", signal: "SIGKILL" }),
    );
    upstream.play(whole());
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await chat.ask("Hi")).toMatchObject({ type: "message", provider: "openai", content: answerText });
    expect((await service.stop()).code).toBe(0);
  });

  it("leaves a service that listens and says that nothing can answer", async () => {
    let killed: Promise<void> | undefined;
    const service = await startService(
      { AI_PROVIDER: "local", MODEL_PATH: await tinyModel(), AI_FALLBACK: "none" },
      (pid) => void (killed = killEngineOf(pid)),
    );
    await killed;
    expect((await service.http("/readyz")).status).toBe(503);
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await chat.ask("Hi")).toMatchObject({ type: "error", code: "no_provider" });
    expect((await service.stop()).code).toBe(0);
  });
});
