import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modelFault } from "../../src/engine-host/gguf-check.ts";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { mutatedGgufs, type MutatedGguf } from "../support/gguf-mutations.ts";
import { isAlive, startService, type Service } from "../support/service.ts";
import { tinyGguf } from "../support/tiny-gguf.ts";

/** Files in the full run, which takes up to 13 minutes. GGUF_MUTATIONS names the file that gets its outcomes. */
const ALL = 200;
/** Files in the usual run that the check refuses, besides some whose damage only native code detects. */
const REFUSED = 2;
/** Longest time from the end of the engine until the service listens in the full run, in milliseconds. */
const MAX_LISTEN_MS = 3000;
const report = process.env["GGUF_MUTATIONS"];
const everything = report !== undefined;

interface Outcome {
  readonly loaded: boolean;
  /** The operator's reason. */
  readonly reason: string;
  /** From the end of the engine process, where there was one, until the service listened. */
  readonly listenMs: number | undefined;
  readonly signal: unknown;
}

/** Milliseconds of a log line. */
function timeOf(entry: Readonly<Record<string, unknown>> | undefined): number {
  return Date.parse(String(entry?.["time"]));
}

function outcomeOf({ log }: Service): Outcome {
  const line = (msg: string) => log.find((entry) => entry["msg"] === msg);
  const refused = log.find(({ msg }) => String(msg).startsWith("local could not start: "));
  const ended = line("engine process failed to start");
  const listenMs = ended && timeOf(line("listening")) - timeOf(ended);
  return {
    loaded: line("engine ready") !== undefined,
    reason: [refused?.["msg"], ...((ended?.["lastLines"] as string[] | undefined) ?? [])].join("\n"),
    listenMs,
    signal: ended?.["signal"],
  };
}

describe("a start with a damaged model file", () => {
  const folder = mkdtempSync(join(tmpdir(), "damaged-models-"));
  let upstream: FaultServer;
  let files: (MutatedGguf & { readonly path: string })[];
  beforeAll(async () => {
    upstream = await startFaultServer();
    const all = mutatedGgufs(tinyGguf(), ALL).map((mutated, index) => ({
      ...mutated,
      path: join(folder, `${index}.gguf`),
    }));
    for (const { path, bytes } of all) writeFileSync(path, bytes);
    if (everything) {
      files = all;
      return;
    }
    const faults = await Promise.all(all.map(({ path }) => modelFault(path)));
    const refused = all.filter((_, index) => faults[index] !== null).slice(0, REFUSED);
    // Damage in words and token ids is often harmless; this is not.
    const native = all.filter(
      ({ name }, index) => faults[index] === null && /^(parameter|tensor type):/.test(name),
    );
    if (native.length === 0) throw new Error("no damaged file reaches native code");
    files = [...refused, ...native];
  });
  afterAll(async () => {
    await upstream.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const fallback = () => ({
    AI_FALLBACK: "openai",
    OPENAI_API_KEY: "sk-never-to-be-seen-0123456789",
    OPENAI_BASE_URL: upstream.baseUrl,
  });

  it(
    "never ends the service: the next provider answers or nothing can, and the log has the cause",
    async () => {
      for (const [index, { name, path }] of files.entries()) {
        const others = index % 2 === 0 ? fallback() : { AI_FALLBACK: "none" };
        const settings = {
          AI_PROVIDER: "local",
          MODEL_PATH: path,
          LOCAL_SLOTS: "1",
        };
        const service = await startService({ ...settings, ...others });
        const { loaded, reason, listenMs, signal } = outcomeOf(service);
        if (everything) {
          appendFileSync(report, `${JSON.stringify({ name, loaded, reason, listenMs, signal })}\n`);
          if (listenMs !== undefined) expect.soft(listenMs, name).toBeLessThanOrEqual(MAX_LISTEN_MS);
        }
        if (!loaded) {
          expect.soft(reason, name).toMatch(/local could not start: .{20,}/s);
          const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
          if (index % 2 === 0) upstream.play(whole());
          expect
            .soft(await chat.ask("Hi"), name)
            .toMatchObject(
              index % 2 === 0
                ? { type: "message", provider: "openai", content: answerText }
                : { type: "error", code: "no_provider" },
            );
        }
        expect.soft(isAlive(service.pid), name).toBe(true);
        expect.soft((await service.stop()).code, name).toBe(0);
      }
    },
    everything ? 3_600_000 : 180_000,
  );
});
