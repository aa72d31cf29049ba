import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { Logger } from "../../../src/core/logger.ts";
import { usableCores } from "../../../src/core/usable-cores.ts";
import { noMetrics } from "../../../src/core/metrics.ts";
import { EngineStartError, EngineSupervisor } from "../../../src/engine-host/supervisor.ts";
import type { EngineStatus } from "../../../src/engine-wire/engine-status.ts";
import { tinySettings } from "../../support/local-engine.ts";

/** Start of a script that replaces the engine to simulate faults. `send` and `onLine` use its control channel. */
const prelude = `
  const control = new (require("node:net").Socket)({ fd: 3 });
  const send = (message) => control.write(JSON.stringify(message) + "\\n");
  const onLine = (use) => {
    let text = "";
    control.on("data", (chunk) => {
      text += chunk;
      for (let end; (end = text.indexOf("\\n")) >= 0; text = text.slice(end + 1)) use(JSON.parse(text.slice(0, end)));
    });
  };
`;
const restart = { firstDelayMs: 5, maxDelayMs: 20, earlyMs: 60_000, earlyLimit: 3, degradedDelayMs: 50 };
const running: EngineSupervisor[] = [];

async function supervise(script: string, env: Record<string, string> = {}, stallMs?: number) {
  const lines: { level: string; fields: object; message: string }[] = [];
  const log = (level: string) => (fields: object, message: string) => lines.push({ level, fields, message });
  const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  let restarts = 0;
  const supervisor = new EngineSupervisor({
    args: ["-e", prelude + script],
    env: { ...process.env, ...env },
    settings: await tinySettings(),
    logger,
    metrics: { ...noMetrics, engineRestarted: () => restarts++ },
    clock: systemClock,
    restart,
    ...(stallMs !== undefined && { stallMs }),
  });
  running.push(supervisor);
  const states: EngineStatus[] = [];
  supervisor.onChange((status) => states.push(status));
  return { supervisor, lines, states, restarts: () => restarts };
}

afterEach(() => Promise.all(running.splice(0).map((supervisor) => supervisor.stop())));

/** Engine that becomes ready and exits on a stop message. */
const healthyEngine =
  'onLine((m) => m.type === "stop" ? process.exit(0) : send({ type: "ready", info: { modelName: "m" } }));';

describe("EngineSupervisor", () => {
  it("sends the settings on the control channel and returns the info of the ready message", async () => {
    const { supervisor } = await supervise(
      'onLine((m) => send({ type: "ready", info: { modelName: m.settings.modelName + " " + m.socketPath } }));',
    );
    const info = await supervisor.start();
    expect(info.modelName).toBe(`tiny ${supervisor.socketPath}`);
    expect(supervisor.status()).toMatchObject({ state: "ready", reason: "", info });
  });

  it("rejects the start with the engine's reason and does not restart it", async () => {
    const { supervisor, restarts } = await supervise(
      'onLine(() => { send({ type: "failed", message: "GPU=cuda cannot be used" }); setTimeout(() => process.exit(1), 5); });',
    );
    await expect(supervisor.start()).rejects.toThrow("GPU=cuda cannot be used");
    expect(supervisor.status()).toEqual({ state: "down", reason: "GPU=cuda cannot be used" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(restarts()).toBe(0);
  });

  it.each(["SIGKILL", "stop"])("removes the stored states of an engine that ends by %s", async (end) => {
    const states = mkdtempSync(join(tmpdir(), "states-"));
    const ready = JSON.stringify({ type: "ready", info: { modelName: "m" }, stateFolder: states });
    const { supervisor } = await supervise(
      `onLine((m) => m.type === "stop" ? process.exit(0) : send(${ready}));`,
    );
    await supervisor.start();
    writeFileSync(join(states, "1"), "state");
    if (end === "stop") {
      await supervisor.stop();
      expect(existsSync(states)).toBe(false);
    } else {
      process.kill(supervisor.pid ?? 0, "SIGKILL");
      await expect.poll(() => existsSync(states)).toBe(false);
    }
  });

  it("restarts a killed engine with a new process on a new socket", async () => {
    const { supervisor, states, restarts } = await supervise(healthyEngine);
    await supervisor.start();
    const { pid, socketPath } = supervisor;
    process.kill(pid ?? 0, "SIGKILL");
    await expect.poll(() => supervisor.status().state === "ready" && supervisor.pid !== pid).toBe(true);
    expect(states.map(({ state }) => state)).toEqual(["ready", "starting", "ready"]);
    expect(supervisor.socketPath).not.toBe(socketPath);
    expect(existsSync(dirname(supervisor.socketPath))).toBe(true);
    expect(existsSync(dirname(socketPath))).toBe(false);
    expect(restarts()).toBe(1);
  });

  it("restarts an engine whose socket folder was removed, in a new folder", async () => {
    const { supervisor } = await supervise(healthyEngine);
    await supervisor.start();
    const { pid, socketPath } = supervisor;
    rmSync(dirname(socketPath), { recursive: true });
    process.kill(pid ?? 0, "SIGKILL");
    await expect.poll(() => supervisor.status().state === "ready" && supervisor.pid !== pid).toBe(true);
    expect(existsSync(dirname(supervisor.socketPath))).toBe(true);
  });

  it("names the folder that cannot be created, and what to set", async () => {
    vi.stubEnv("TMPDIR", "/nonexistent/for/sure");
    const { supervisor, restarts } = await supervise(healthyEngine);
    await expect(supervisor.start()).rejects.toThrow(/\/nonexistent\/for\/sure.*Set TMPDIR/);
    expect(restarts()).toBe(0);
  });

  it("becomes degraded when the engine keeps crashing, keeps restarting it, and recovers", async () => {
    const marker = `${process.env["TMPDIR"] ?? "/tmp"}/engine-runs-${process.pid}`;
    const { supervisor, states, restarts } = await supervise(
      `const fs = require("node:fs"); const runs = fs.existsSync("${marker}") ? fs.readFileSync("${marker}", "utf8").length : 0;
       fs.appendFileSync("${marker}", "x");
       if (runs > 0 && runs < 4) process.exit(3);
       if (runs === 4) fs.rmSync("${marker}");
       ${healthyEngine}`,
    );
    await supervisor.start();
    process.kill(supervisor.pid ?? 0, "SIGKILL");
    // The state is degraded only for a moment.
    const degraded = () => states.find(({ state }) => state === "degraded");
    await expect.poll(degraded).toBeDefined();
    expect(degraded()?.reason).toMatch(/keeps crashing.*code 3/);
    await expect.poll(() => supervisor.status().state).toBe("ready");
    expect(restarts()).toBe(4);
  });

  it("sizes the engine's thread pool by the cores and passes no secrets to it", async () => {
    const { supervisor } = await supervise(
      `onLine((m) => m.type === "stop" ? process.exit(0) : send({ type: "ready", info: { modelName: JSON.stringify(process.env) } }));`,
      { OPENAI_API_KEY: "secret", JWT_SECRET: "secret", LC_ALL: "C" },
    );
    const env = JSON.parse((await supervisor.start()).modelName) as Record<string, string>;
    expect(Number(env["UV_THREADPOOL_SIZE"])).toBe(usableCores() <= 2 ? 1 : 8);
    expect(env["LC_ALL"]).toBe("C");
    expect(JSON.stringify(env)).not.toContain("secret");
  });

  it("logs the engine's standard error", async () => {
    const { supervisor, lines } = await supervise(`console.error("ggml says hello"); ${healthyEngine}`);
    await supervisor.start();
    await expect.poll(() => lines.filter(({ level }) => level === "warn").length).toBe(1);
    expect(lines.find(({ level }) => level === "warn")?.fields).toMatchObject({ line: "ggml says hello" });
  });

  it("kills an engine that ignores the stop message, and removes its folder", async () => {
    const { supervisor } = await supervise(
      'process.on("SIGTERM", () => {}); onLine((m) => m.type === "settings" && send({ type: "ready", info: {} }));',
    );
    await supervisor.start();
    const { pid, socketPath } = supervisor;
    await supervisor.stop();
    expect(() => process.kill(pid ?? 0, 0)).toThrow();
    expect(existsSync(dirname(socketPath))).toBe(false);
  });

  it.each([
    ["file", "the cause that the library printed", /^unknown model architecture: 'nova'\. .*node-llama-cpp/],
    ["model", "the engine's own words", /^Lower LOCAL_SLOTS\.$/],
    ["setup", "no reason against the model", undefined],
  ])("rejects a start that failed by the %s with %s", async (fault, _what, expected) => {
    const { supervisor } = await supervise(
      `console.error("llama_model_load: error loading model: unknown model architecture: 'nova'");
       onLine(() => (send({ type: "failed", message: "Lower LOCAL_SLOTS.", fault: "${fault}" }), control.end()));
       control.on("close", () => process.exit(1));`,
    );
    const error: unknown = await supervisor.start().catch((reason: unknown) => reason);
    if (!(error instanceof EngineStartError)) throw new Error("no EngineStartError");
    if (expected === undefined) {
      expect(error.modelReason).toBeUndefined();
      expect(error.message).toBe("Lower LOCAL_SLOTS.");
    } else {
      expect(error.modelReason).toMatch(expected);
      expect(error.message).toMatch(/^The model .*\.gguf cannot be loaded: /);
    }
  });

  it("blames no model for a module of the engine that is missing", async () => {
    const { supervisor } = await supervise('require("./no-such-module")');
    const error: unknown = await supervisor.start().catch((reason: unknown) => reason);
    if (!(error instanceof EngineStartError)) throw new Error("no EngineStartError");
    expect(error.modelReason).toBeUndefined();
    expect(error.message).toMatch(/^A module of the engine is missing .*npm ci/);
  });

  it.each([
    ["exits", "process.exit(9)", /ended while it loaded the model \(exit code 9\).*damaged/],
    ["aborts", 'process.kill(process.pid, "SIGABRT")', /\(SIGABRT\).*damaged/],
    ["is killed", 'process.kill(process.pid, "SIGKILL")', /\(SIGKILL\).*out of memory/],
  ])(
    "rejects the start with cause and remedy, and does not restart, when the process %s",
    async (_how, end, reason) => {
      const { supervisor, lines, restarts } = await supervise(
        `require("node:fs").writeSync(2, "ggml: first\\nggml: last\\n"); ${end}`,
      );
      await expect(supervisor.start()).rejects.toThrow(reason);
      expect(supervisor.status().state).toBe("down");
      const failed = lines.find(({ message }) => message === "engine process failed to start");
      expect(failed?.fields).toMatchObject({
        lastLines: expect.arrayContaining(["ggml: first", "ggml: last"]) as unknown,
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(restarts()).toBe(0);
    },
  );

  it("kills and restarts a busy engine that makes no progress", async () => {
    const marker = `${process.env["TMPDIR"] ?? "/tmp"}/engine-hangs-${process.pid}`;
    const { supervisor, states, lines, restarts } = await supervise(
      `const fs = require("node:fs"); const first = !fs.existsSync("${marker}"); fs.writeFileSync("${marker}", "x"); ${healthyEngine}
       setInterval(() => send({ type: "pulse", busy: first, moved: 1, tickMs: 1, longWork: false }), 200);`,
      {},
      3000,
    );
    try {
      await supervisor.start();
      const { pid } = supervisor;
      const restarted = () => supervisor.pid !== pid && supervisor.status().state === "ready";
      await expect.poll(restarted).toBe(true);
      expect(states.map(({ state }) => state)).toEqual(["ready", "starting", "ready"]);
      expect(restarts()).toBe(1);
      const exited = lines.find(({ message }) => message === "engine process exited");
      expect(exited?.fields).toMatchObject({
        signal: "SIGKILL",
        failure: expect.stringMatching(/no progress for \d+ s/),
      });
    } finally {
      rmSync(marker, { force: true });
    }
  });
});
