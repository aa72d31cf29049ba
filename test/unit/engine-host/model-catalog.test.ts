import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { catalogFile, readCatalog } from "../../../src/engine-host/model-catalog.ts";
import { temporaryFolder } from "../../support/model-entry.ts";

async function catalogOf(content: unknown): Promise<string> {
  const file = join(await temporaryFolder(), "models.json");
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

describe("the model catalog", () => {
  it("lists the recommended model and one stand-in, both pinned", () => {
    const catalog = readCatalog();
    const [recommended, standIn] = catalog;
    expect(catalog).toHaveLength(2);
    expect(recommended).toMatchObject({
      name: "tinyllama-1.1b-chat",
      size: 668_788_096,
      template: "zephyr",
      standIn: false,
      source: { kind: "hub", revision: "52e7645ba7c309695bec7ac98f4f005b139cf465" },
    });
    expect(standIn).toMatchObject({
      name: "smollm2-135m-instruct",
      template: "chatml",
      standIn: true,
      source: { kind: "wheel", version: "0.1.2" },
    });
  });

  it.each([
    ["{", /cannot be read/],
    [{}, /list of models/],
    [[1], /entry 1: the entry: must be an object/],
    [[{ file: "../evil.gguf" }], /file: must be the bare name/],
    [[{ file: "a.bin" }], /file: must be the bare name/],
    [[{ file: "a.gguf", sha256: "abc" }], /sha256/],
    [[{ file: "a.gguf", sha256: "a".repeat(64), template: "other" }], /template/],
  ])("refuses the content %j", async (content, message) => {
    const file = await catalogOf(content);
    expect(() => readCatalog(file)).toThrow(message);
  });

  it("refuses two entries with the same name", async () => {
    const { standIn: _, ...entry } = readCatalog()[0] ?? {};
    const file = await catalogOf([entry, entry]);
    expect(() => readCatalog(file)).toThrow(/two entries/);
  });

  it("refuses a source of an unknown kind", async () => {
    const file = await catalogOf([{ ...readCatalog()[0], source: { kind: "torrent" } }]);
    expect(() => readCatalog(file)).toThrow(/source\.kind/);
  });

  it("is read from models/ when run from the sources", () => {
    expect(catalogFile()).toMatch(/models[/\\]models\.json$/);
  });
});
