import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const temporary = mkdtempSync(join(tmpdir(), "leftovers-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** Folders of these processes, in both places that the service uses. */
function foldersOf(pids: readonly number[]): string[] {
  return ["/dev/shm", temporary]
    .flatMap((parent) => (existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name)) : []))
    .filter((path) => pids.some((pid) => path.includes(`-${pid}-`)));
}

const pidsOf = (service: Service): readonly number[] => [service.pid, service.enginePid() as number];

/** Kills gateway and engine so that neither can clean up after the other. */
async function killBoth(service: Service): Promise<void> {
  const [, engine = 0] = pidsOf(service);
  process.kill(engine, "SIGSTOP");
  service.kill("SIGKILL");
  process.kill(engine, "SIGKILL");
  await service.exited;
}

describe("folders of a gateway and an engine that are killed together", () => {
  it("are removed by the next start, whatever its provider and its cache, and those of others are not", async () => {
    const settings = {
      AI_PROVIDER: "local",
      MODEL_PATH: await tinyModel(),
      AI_FALLBACK: "none",
      TMPDIR: temporary,
    };
    const [first, second] = await Promise.all([startService(settings), startService(settings)]);
    await killBoth(first);
    expect(foldersOf(pidsOf(first))).toHaveLength(2);

    const otherProvider = await startService({ AI_PROVIDER: "echo", TMPDIR: temporary });
    expect(foldersOf(pidsOf(first))).toEqual([]);
    expect(foldersOf(pidsOf(second))).toHaveLength(2);
    expect((await otherProvider.stop()).code).toBe(0);

    await killBoth(second);
    expect(foldersOf(pidsOf(second))).toHaveLength(2);
    const withoutCache = await startService({ ...settings, LOCAL_KV_CACHE_MB: "0" });
    expect(foldersOf(pidsOf(second))).toEqual([]);
    expect((await withoutCache.stop()).code).toBe(0);
    expect(foldersOf(pidsOf(withoutCache))).toEqual([]);
  });
});
