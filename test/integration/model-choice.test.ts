import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { setUpLocalProvider } from "../../src/app/local-provider-setup.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { noMetrics } from "../../src/core/metrics.ts";
import { silentProgress } from "../support/silent-progress.ts";
import { smallGguf, splitGguf } from "../support/small-gguf.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const root = mkdtempSync(join(tmpdir(), "model-choice-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function localProvider(settings: Readonly<Record<string, string>>) {
  return setUpLocalProvider({
    config: loadConfig({ MODEL_DOWNLOAD: "false", LOCAL_SLOTS: "1", GPU: "off", ...settings }).config,
    root,
    env: process.env,
    progress: silentProgress,
    signal: new AbortController().signal,
    clock: systemClock,
    logger: silentLogger,
    metrics: noMetrics,
  });
}

async function start(local: ReturnType<typeof localProvider>) {
  if (!("start" in local.candidate)) throw new Error("no candidate");
  return local.candidate.start();
}

describe("ten files in one folder", () => {
  const folder = join(root, "models");
  const put = (name: string, bytes: Buffer) => writeFileSync(join(folder, name), bytes);

  it("are judged by their metadata, and one that cannot be loaded gives way to the next", async () => {
    mkdirSync(folder);
    const tiny = readFileSync(await tinyModel());
    const future = Buffer.from(tiny.toString("latin1").replaceAll("llama", "novaa"), "latin1");
    put("a.gguf", smallGguf({ "general.architecture": { string: "clip" } }));
    put("b.gguf", smallGguf({ "general.type": { string: "adapter" } }));
    put("c.gguf", smallGguf({ "general.type": { string: "imatrix" } }));
    put("d.gguf", smallGguf({}, []));
    put("e.gguf", smallGguf({ "general.architecture": { string: "bert" } }));
    put("f-00002-of-00003.gguf", splitGguf(3)[1] as Buffer);
    put("g-00001-of-00002.gguf", splitGguf(2)[0] as Buffer);
    put("h.gguf", tiny.subarray(0, -1000));
    put("i.gguf", future);
    put("j.GGUF", tiny);
    const local = localProvider({});
    const provider = await start(local);
    expect(provider.describe().model).toBe("j");
    const notes = local.info()?.notes ?? [];
    for (const [index, expected] of [
      /so j\.GGUF is used/,
      /a\.gguf is not used: it is a projector/,
      /b\.gguf is not used: it is an adapter/,
      /c\.gguf is not used: it is an importance matrix/,
      /d\.gguf is not used: it is a vocabulary/,
      /e\.gguf is not used: it is a model for embeddings/,
      /f-00002-of-00003\.gguf is not used: it is part 2 of 3/,
      /g-00001-of-00002\.gguf is not used: it is part 1 of 2, and part 2 .* does not exist/,
      /h\.gguf is not used: it .*corrupted or incomplete/,
    ].entries()) {
      expect(notes[index]).toMatch(expected);
    }
    // The library refuses the architecture, or its tokenizer, which has the same name in the tiny model.
    expect(notes[9]).toMatch(
      /^models\/i\.gguf cannot be loaded: unknown \w.*'novaa'\. The installed version/,
    );
    await provider.close();
    await local.stop();
  }, 120_000);

  it("end with each reason when none of them can be used", async () => {
    rmSync(join(folder, "j.GGUF"));
    await expect(start(localProvider({}))).rejects.toMatchObject({
      code: "no_provider",
      message: expect.stringMatching(
        /a\.gguf is not used.*i\.gguf cannot be loaded: unknown .*npm run model/,
      ),
    });
  }, 120_000);
});
