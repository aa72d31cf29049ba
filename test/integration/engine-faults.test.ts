import { describe, expect, it } from "vitest";
import { isAlive, startService, until } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

describe("the engine process of the service", () => {
  it("exits with the main process, even if that is killed", async () => {
    const service = await startService({ MODEL_PATH: await tinyModel() });
    const engine = service.enginePid() as number;
    expect(isAlive(engine)).toBe(true);
    service.kill("SIGKILL");
    await service.exited;
    await until(() => !isAlive(engine));
  });
});
