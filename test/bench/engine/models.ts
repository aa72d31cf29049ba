import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readCatalog } from "../../../src/engine-host/model-catalog.ts";
import { randomTinyLlama } from "../../support/random-gguf.ts";
import { tinyModel } from "../../support/tiny-gguf.ts";
import type { Model, Sampling } from "./chat-target.ts";

const SMOLLM = "smollm2-135m-instruct";

/** Sampling parameters that the service uses for a file that is not in its catalog. */
const SAFE: Sampling = { temperature: 0.7, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1.1 };

/**
 * Resolves a model name: `smollm2`, `tinyllama-shape` (random weights, written on first use), `tiny` (for tests), or
 * the path of a GGUF file. All servers use the sampling parameters of the service's catalog for it.
 *
 * @throws Error if there is no such file.
 */
export async function findModel(name: string): Promise<Model> {
  const path = await pathOf(name);
  if (!existsSync(path)) throw new Error(`The model file ${path} does not exist.`);
  const entry = readCatalog().find(({ file }) => file === basename(path));
  return { name, path, sampling: entry?.sampling ?? SAFE };
}

async function pathOf(name: string): Promise<string> {
  if (name === "tinyllama-shape") return randomTinyLlama();
  if (name === "tiny") return tinyModel();
  if (name !== "smollm2") return resolve(name);
  const file = readCatalog().find((entry) => entry.name === SMOLLM)?.file ?? "";
  const path = fileURLToPath(new URL(`../../../models/${file}`, import.meta.url));
  if (existsSync(path)) return path;
  throw new Error(`models/${file} is missing; download it with: npm run model -- ${SMOLLM}`);
}
