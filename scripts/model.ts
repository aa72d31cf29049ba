// npm run model [-- name]: downloads a model of models/models.json to models/ (default: the first one).
// npm run model -- --list: lists all models. npm run model -- --any [name]: uses the stand-in if the download fails.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../src/config/config-error.ts";
import { loadFrom, processEnvironment } from "../src/config/environment.ts";
import { modelFault } from "../src/engine-host/gguf-check.ts";
import { readCatalog, type ModelEntry } from "../src/engine-host/model-catalog.ts";
import { fetchModel } from "../src/engine-host/model-fetch.ts";
import { messageOf, sizeOf } from "../src/engine-host/model-file.ts";
import { formatBytes, streamProgress } from "../src/engine-host/model-progress.ts";
import { createProxiedFetch } from "../src/outbound/proxied-fetch.ts";
import { proxyEnvironment } from "../src/outbound/proxy-routes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const modelsDir = join(root, "models");
const catalog = readCatalog(join(modelsDir, "models.json"));
const progress = streamProgress(process.stderr);
const stop = new AbortController();

async function isDownloaded(entry: ModelEntry): Promise<boolean> {
  const path = join(modelsDir, entry.file);
  return (await sizeOf(path)) === entry.size && (await modelFault(path)) === null;
}

async function list(): Promise<void> {
  for (const entry of catalog) {
    const state = (await isDownloaded(entry)) ? "downloaded" : "not downloaded";
    const kind = entry.standIn ? ", stand-in" : "";
    console.log(
      `${entry.name}: ${entry.title}, ${formatBytes(entry.size)}, ${entry.licence}${kind} (${state})`,
    );
  }
}

/** Downloads one model unless it is already present. @returns whether it is present afterwards */
async function ensureModel(entry: ModelEntry): Promise<boolean> {
  if (await isDownloaded(entry)) {
    console.log(`models/${entry.file} is already downloaded`);
    return true;
  }
  try {
    const { config } = loadFrom(process.cwd());
    const fetch = await createProxiedFetch(config);
    const env = { ...processEnvironment(), ...proxyEnvironment(config) };
    const signal = stop.signal;
    const { from } = await fetchModel(entry, { modelsDir, progress, signal, env, ...(fetch && { fetch }) });
    console.log(`Downloaded models/${entry.file} (${entry.title}, ${entry.licence}) from ${from}`);
    return true;
  } catch (error) {
    if (error instanceof ConfigError) console.error(error.message);
    else if (stop.signal.aborted) console.error("Stopped. The next run resumes the download.");
    else console.error(`${entry.title} could not be downloaded: ${messageOf(error)}`);
    return false;
  }
}

async function main(words: readonly string[]): Promise<number> {
  if (words.includes("--list")) {
    await list();
    return 0;
  }
  const name = words.find((word) => !word.startsWith("--"));
  const wanted = name === undefined ? catalog[0] : catalog.find((entry) => entry.name === name);
  const unknown = words.find((word) => word.startsWith("--") && word !== "--any");
  if (wanted === undefined || unknown !== undefined) {
    console.error(
      unknown === undefined
        ? `Unknown model ${name}. Available models:`
        : `Unknown option ${unknown}. Available models:`,
    );
    await list();
    return 2;
  }
  const choices = words.includes("--any") ? [wanted, ...catalog.filter((entry) => entry.standIn)] : [wanted];
  for (const entry of choices) {
    if (await ensureModel(entry)) return 0;
    if (stop.signal.aborted) return 130;
  }
  if (!wanted.standIn && choices.length === 1) {
    const standIn = catalog.find((entry) => entry.standIn);
    if (standIn) console.error(`To use the small stand-in model instead: npm run model -- ${standIn.name}`);
  }
  return 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
process.exitCode = await main(process.argv.slice(2));
