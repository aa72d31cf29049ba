import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { createLogDestination, type LogDestination } from "../../../src/observability/log-destination.ts";
import { createPinoLogger, describeError } from "../../../src/observability/pino-logger.ts";

function memory(): LogDestination & { text(): string; lines(): Record<string, unknown>[] } {
  const written: string[] = [];
  return {
    write: (line) => void written.push(line),
    flush: () => Promise.resolve(),
    droppedLines: () => 0,
    text: () => written.join(""),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function logged(fields: object): { text: string; line: Record<string, unknown> } {
  const destination = memory();
  createPinoLogger({ level: "info", destination }).info(fields, "hello");
  return { text: destination.text(), line: destination.lines()[0] ?? {} };
}

describe("createPinoLogger", () => {
  it("writes one JSON object per line with level, time and message", () => {
    const { text, line } = logged({ port: 8000 });
    expect(text.endsWith("\n")).toBe(true);
    expect(line).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      pid: process.pid,
      port: 8000,
      msg: "hello",
    });
  });

  it("omits lines below its level", () => {
    const destination = memory();
    const log = createPinoLogger({ level: "warn", destination });
    log.debug({}, "a");
    log.info({}, "b");
    log.warn({}, "c");
    log.error({}, "d");
    log.fatal({}, "e");
    expect(destination.lines().map((line) => line["level"])).toEqual(["warn", "error", "fatal"]);
    const silent = memory();
    createPinoLogger({ level: "silent", destination: silent }).fatal({}, "x");
    expect(silent.text()).toBe("");
  });

  it("redacts secrets and users' texts that are logged by mistake", () => {
    const fields = {
      token: "hush1",
      session: "hush2",
      client: { token: "hush3", id: "public" },
      req: { path: "/ws/chat", headers: { authorization: "Bearer hush4", cookie: "hush5" } },
      config: { JWT_SECRET: "hush6", OPENAI_API_KEY: "hush7", PORT: 1 },
      message: "hush8",
      frame: { content: "hush9", text: "hush10", type: "message" },
      prompt: "hush11",
      body: { a: "hush12" },
    };
    const { text, line } = logged(fields);
    expect(text).not.toContain("hush");
    expect(line).toMatchObject({
      client: { id: "public", token: "(hidden)" },
      req: { path: "/ws/chat" },
      config: { PORT: 1 },
      msg: "hello",
    });
    expect(fields.token).toBe("hush1");
  });

  it("keeps the path of a url and drops its query, which may contain a token", () => {
    expect(logged({ url: "/ws/chat/auth?token=hush" }).line["url"]).toBe("/ws/chat/auth");
    expect(logged({ url: new URL("http://a/?token=hush") }).text).not.toContain("hush");
  });
});

describe("logged errors", () => {
  it("keep type, code, message, stack and causes", () => {
    const cause = Object.assign(new TypeError("inner"), { code: "ECONNREFUSED" });
    const { line } = logged({ err: new Error("outer", { cause }) });
    expect(line["err"]).toEqual({
      type: "Error",
      message: "outer",
      stack: expect.stringContaining("logger.test.ts"),
      cause: {
        type: "TypeError",
        code: "ECONNREFUSED",
        message: "inner",
        stack: expect.stringContaining("TypeError: inner"),
      },
    });
  });

  it("omit properties added by libraries, such as the request with its text", () => {
    const err = Object.assign(new Error("503"), {
      httpRequest: { body: { inputs: "hush" } },
      response: "hush",
      config: { headers: { authorization: "hush" } },
      errors: [new Error("hush")],
    });
    expect(logged({ err }).text).not.toContain("hush");
    expect(logged({ error: err }).text).not.toContain("hush");
  });

  it("do not quote the text that could not be parsed", () => {
    let syntaxError: unknown;
    try {
      JSON.parse("hush hush");
    } catch (error) {
      syntaxError = error;
    }
    expect(String(syntaxError)).toContain("hush");
    const { text, line } = logged({ err: new Error("bad answer", { cause: syntaxError }) });
    expect(text).not.toContain("hush");
    expect(line).toMatchObject({
      err: { cause: { type: "SyntaxError", stack: expect.stringContaining("JSON.parse") } },
    });
  });

  it("are bounded in length and depth", () => {
    let error = new Error("x".repeat(1_000_000));
    for (let depth = 0; depth < 50; depth++) error = new Error("x".repeat(1_000_000), { cause: error });
    expect(JSON.stringify(describeError(error)).length).toBeLessThan(100_000);
    const loop: Error & { cause?: unknown } = new Error("loop");
    loop.cause = loop;
    expect(() => JSON.stringify(describeError(loop))).not.toThrow();
  });

  it("may be any thrown value", () => {
    expect(describeError("text")).toEqual({ type: "string", message: "text" });
    expect(describeError(undefined)).toEqual({ type: "undefined", message: "undefined" });
    expect(describeError({ body: "hush" })).toEqual({ type: "object", message: "(not an Error)" });
  });
});

const root = join(import.meta.dirname, "../../..");
const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function temporaryFile(): { path: string; fd: number } {
  const folder = mkdtempSync(join(tmpdir(), "logger-"));
  const path = join(folder, "log");
  const fd = openSync(path, "a");
  cleanups.push(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  return { path, fd };
}

describe("createLogDestination", () => {
  it("writes all lines completely and in order, and waits for them in flush", async () => {
    const { path, fd } = temporaryFile();
    const destination = createLogDestination({ fd });
    const log = createPinoLogger({ level: "info", destination });
    const text = "é".repeat(100);
    for (let index = 0; index < 3000; index++) log.info({ index }, text);
    expect(readFileSync(path, "utf8")).not.toContain('"index":2999,');
    await log.flush(10_000);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    const seen = lines.map((line) => (JSON.parse(line) as { index: number; msg: string }).index);
    expect(seen).toEqual(Array.from({ length: 3000 }, (_, index) => index));
    expect(log.droppedLines()).toBe(0);
  });

  it("drops lines over its limit and logs their number", async () => {
    const { path, fd } = temporaryFile();
    const destination = createLogDestination({ fd, maxBytes: 1000 });
    for (let index = 0; index < 30; index++) destination.write(`${"x".repeat(99)}\n`);
    expect(destination.droppedLines()).toBe(20);
    await destination.flush();
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(11);
    expect(JSON.parse(lines[10] ?? "")).toMatchObject({
      level: "warn",
      dropped: 20,
      msg: "log lines were dropped",
    });
    destination.write("again\n");
    await destination.flush();
    expect(readFileSync(path, "utf8").endsWith("again\n")).toBe(true);
  });

  it("drops lines for an unwritable destination instead of retrying forever", async () => {
    const fd = openSync("/dev/full", "w");
    cleanups.push(() => closeSync(fd));
    const destination = createLogDestination({ fd });
    for (let index = 0; index < 5; index++) destination.write("x\n");
    await destination.flush();
    expect(destination.droppedLines()).toBe(5);
  });

  it("flushes immediately if nothing was written", async () => {
    await expect(createLogDestination({ fd: temporaryFile().fd }).flush(60_000)).resolves.toBeUndefined();
  });
});

/**
 * Runs `body`, with a logger `log`, in a separate process whose standard output is piped to the shell command `reader`.
 * Resolves once standard error contains a line that matches `until`.
 */
function runInPipe(
  body: string,
  reader: string,
  until = /^status \d+$/m,
): Promise<{ report: Record<string, number>; stderr: string; ms: number }> {
  const url = pathToFileURL(join(root, "src/observability/pino-logger.ts")).href;
  const script = `import { createPinoLogger } from ${JSON.stringify(url)};
    const log = createPinoLogger({ level: "info" }); const report = {};
    ${body}
    process.stderr.write(JSON.stringify({ ...report, dropped: log.droppedLines() }) + "\\n", () => process.exit(0));`;
  const begun = performance.now();
  // The writer's side of the pipe reports the status, because the reader may run longer.
  const command = `( "$NODE" --import tsx --input-type=module -e "$SCRIPT"; echo "status $?" >&2 ) | ${reader}`;
  const child = spawn("bash", ["-c", command], {
    cwd: root,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, NODE: process.execPath, SCRIPT: script },
    detached: true,
  });
  const pid = child.pid;
  cleanups.push(() => {
    try {
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    } catch {
      // The process has already exited.
    }
  });
  return new Promise((resolve, reject) => {
    let text = "";
    child.on("error", reject);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (!until.test(text)) return;
      const json = /^\{.*\}$/m.exec(text)?.[0];
      if (json === undefined) reject(new Error(text));
      else
        resolve({
          report: JSON.parse(json) as Record<string, number>,
          stderr: text,
          ms: performance.now() - begun,
        });
    });
    child.on("close", () => reject(new Error(`ended without ${until}: ${text}`)));
  });
}

describe("standard output", () => {
  it("does not use more memory, block, or delay the exit while its reader stalls", async () => {
    const body = `
      const line = "x".repeat(1000);
      for (let round = 0; round < 100; round++) {
        for (let index = 0; index < 500; index++) log.info({ index }, line);
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (round === 20) { global.gc?.(); report.before = process.memoryUsage().rss; }
      }
      report.grown = process.memoryUsage().rss - report.before;
      const flushing = Date.now();
      await log.flush(300);
      report.flushMs = Date.now() - flushing;`;
    const { report, stderr, ms } = await runInPipe(body, "sleep 100");
    expect(stderr).toMatch(/^status 0$/m);
    expect(report["dropped"]).toBeGreaterThan(40_000);
    // 50 MB were logged. Without a limit, all of them would be in memory.
    expect(report["grown"]).toBeLessThan(25_000_000);
    expect(report["flushMs"]).toBeGreaterThanOrEqual(250);
    expect(ms).toBeLessThan(90_000);
  }, 120_000);

  it("does not stop the process when its reader closes the pipe", async () => {
    const body = `
      for (let round = 0; round < 20 || log.droppedLines() === 0; round++) {
        log.info({ round }, "x");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await log.flush();`;
    const { report, stderr } = await runInPipe(body, "true");
    expect(stderr).toMatch(/^status 0$/m);
    expect(report["dropped"]).toBeGreaterThan(0);
  }, 60_000);

  it("delivers every line to a slow reader", async () => {
    const body = `
      for (let index = 0; index < 500; index++) log.info({ index }, "x".repeat(1000));
      await log.flush(50_000);`;
    const { report, stderr } = await runInPipe(body, "(sleep 0.5; echo read $(wc -l) >&2)", /^read \d+$/m);
    expect(stderr).toMatch(/^status 0$/m);
    expect(stderr).toMatch(/^read 500$/m);
    expect(report["dropped"]).toBe(0);
  }, 60_000);
});
