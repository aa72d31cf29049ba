import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answerOf, chatRequest, collect } from "../support/chat-request.ts";
import { startLocalEngine, type LocalEngine } from "../support/local-engine.ts";
import { partsOf } from "../support/parts-of.ts";

let engine: LocalEngine;

beforeAll(async () => {
  engine = await startLocalEngine();
});
afterAll(() => engine.stop());

const answer = (text: string) => answerOf(engine.provider, chatRequest(text, { maxTokens: 40 }));
const hasExited = (pid: number | undefined) => {
  try {
    process.kill(pid ?? 0, 0);
    return false;
  } catch {
    return true;
  }
};

/** A stream whose request has reached the engine. */
async function openStream(conversation: string) {
  const request = chatRequest("Hello", { maxTokens: 450, conversation });
  const stream = partsOf(engine.provider, request);
  await stream.next();
  return stream;
}

describe("the engine process", () => {
  it("restricts its socket to the current user", () => {
    expect(statSync(engine.supervisor.socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(engine.supervisor.socketPath)).mode & 0o777).toBe(0o700);
  });

  it("reports the properties of its model", () => {
    expect(engine.supervisor.status().info).toMatchObject({
      modelName: "tiny",
      contextTokens: 512,
      slots: 4,
      threads: 1,
      gpu: false,
      // 2 layers of 64 keys and 64 values in half precision, 512 tokens, 4 slots.
      kvBytes: 2 * 128 * 2 * 512 * 4,
      template: "Zephyr",
    });
  });

  it("is restarted after a crash: running requests fail at once with a retryable error", async () => {
    const running = await Promise.all(Array.from({ length: 8 }, (_, index) => openStream(`c${index}`)));
    const pid = engine.supervisor.pid;
    process.kill(pid ?? 0, "SIGKILL");
    const results = await Promise.allSettled(running.map(collect));
    for (const result of results) {
      expect(result).toMatchObject({
        status: "rejected",
        reason: { code: "engine_crashed", retryable: true },
      });
    }
    // This request arrives while the engine restarts and is answered once it is ready.
    expect((await answer("Hello")).at(-1)?.type).toBe("finish");
    expect(engine.supervisor.pid).not.toBe(pid);
    expect(engine.provider.health()).toEqual({ state: "ready", reason: "" });
  });

  it("is killed and restarted if it hangs, and its requests fail with a retryable error", async () => {
    const hanging = await startLocalEngine({ stallMs: 1000 });
    try {
      const request = chatRequest("Hello", { maxTokens: 450 });
      const stream = partsOf(hanging.provider, request);
      await stream.next();
      process.kill(hanging.supervisor.pid ?? 0, "SIGSTOP");
      await expect(collect(stream)).rejects.toMatchObject({ code: "engine_crashed", retryable: true });
      expect((await answerOf(hanging.provider, chatRequest("Hello", { maxTokens: 4 }))).at(-1)?.type).toBe(
        "finish",
      );
    } finally {
      await hanging.stop();
    }
  });

  it("exits if the main process is killed, and leaves neither process nor socket behind", async () => {
    const owner = spawn(
      process.execPath,
      [
        "--import",
        import.meta.resolve("tsx"),
        fileURLToPath(new URL("../fixtures/engine-owner.ts", import.meta.url)),
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [line] = (await once(owner.stdout.setEncoding("utf8"), "data")) as [string];
    const { pid, socketPath } = JSON.parse(line) as { pid: number; socketPath: string };
    expect(hasExited(pid)).toBe(false);
    owner.kill("SIGKILL");
    await expect.poll(() => hasExited(pid)).toBe(true);
    expect(existsSync(dirname(socketPath))).toBe(false);
  });

  it("ignores the signals that a terminal sends to the whole process group", async () => {
    process.kill(engine.supervisor.pid ?? 0, "SIGINT");
    process.kill(engine.supervisor.pid ?? 0, "SIGTERM");
    expect((await answer("Hello")).at(-1)?.type).toBe("finish");
  });

  it("reports what to fix if it cannot start", async () => {
    await expect(startLocalEngine({ settings: { modelPath: "/nowhere/x.gguf" } })).rejects.toThrow(
      /\/nowhere\/x\.gguf cannot be loaded/,
    );
    await expect(startLocalEngine({ settings: { gpu: "vulkan" } })).rejects.toThrow(
      /GPU=vulkan cannot be used.*npm run gpu/,
    );
    await expect(startLocalEngine({ settings: { template: "nonsense" } })).rejects.toThrow(
      /"nonsense" is unknown/,
    );
  });
});
