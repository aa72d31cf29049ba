import { mkdir, readdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { readCatalog, type ModelEntry } from "./model-catalog.ts";
import { fetchModel, type FetchOptions } from "./model-fetch.ts";
import { ggufFault, messageOf, ModelFetchError, sizeOf } from "./model-file.ts";
import { formatBytes } from "./model-progress.ts";

export interface LocateOptions extends FetchOptions {
  /** Setting MODEL_PATH. */
  readonly modelPath: string | undefined;
  /** Setting LOCAL_MODEL: name of a catalog entry. */
  readonly localModel: string;
  /** Whether a missing model may be fetched. */
  readonly download: boolean;
  /** Why a file is not usable as a model, or null. Default: {@link ggufFault}, which checks its first bytes. */
  readonly fault?: (file: string) => Promise<string | null>;
  /** Default: models/models.json. */
  readonly catalog?: readonly ModelEntry[];
}

/** The model to run. */
export interface FoundModel {
  /** Absolute path. */
  readonly path: string;
  /** Its catalog entry; null for a file that is not in the catalog. */
  readonly entry: ModelEntry | null;
  /** Source of the file, for the start banner: `MODEL_PATH`, `models folder`, `downloaded from …`, `… stand-in`. */
  readonly source: string;
  /** Why this model is used instead of the wanted one, and what to do; empty for the wanted one. */
  readonly note: string;
}

/** No model is available. */
export interface NoModel {
  readonly path: null;
  /** Why there is none. */
  readonly reason: string;
  /** What the operator can do. */
  readonly remedy: string;
}

const REMEDY =
  "Fetch one with: npm run model (or: npm run model -- smollm2-135m-instruct), put a .gguf file into models/, or set MODEL_PATH.";

/**
 * Finds the model to run, or fetches one. It tries in this order: MODEL_PATH; the file of `localModel` in `modelsDir`;
 * the first other .gguf file there, by name; a download of `localModel`; the stand-in of the catalog. MODEL_PATH, when
 * set, is the only one tried. Failures are returned as {@link NoModel}.
 *
 * @throws the reason of `signal` after an abort; Error for an unreadable catalog.
 */
export async function locateModel(options: LocateOptions): Promise<FoundModel | NoModel> {
  const catalog = options.catalog ?? readCatalog();
  if (options.modelPath !== undefined) return fromPath(options.modelPath, catalog, options);
  const wanted = catalog.find((entry) => entry.name === options.localModel);
  if (!wanted) {
    const names = catalog.map((entry) => entry.name).join(", ");
    return none(
      `LOCAL_MODEL=${options.localModel} is not in models/models.json, which lists: ${names}.`,
      REMEDY,
    );
  }
  try {
    return await fromFolderOrNetwork(wanted, catalog, options);
  } catch (error) {
    options.signal.throwIfAborted();
    return none(`models folder ${options.modelsDir}: ${messageOf(error)}.`, REMEDY);
  }
}

async function fromFolderOrNetwork(
  wanted: ModelEntry,
  catalog: readonly ModelEntry[],
  options: LocateOptions,
): Promise<FoundModel | NoModel> {
  await mkdir(options.modelsDir, { recursive: true });
  const refused: string[] = [];
  const local = await fromFolder(wanted, catalog, options, refused);
  if (local) return local;
  if (!options.download) {
    return none(sentences([...refused, "models/ has no usable model and MODEL_DOWNLOAD is off."]), REMEDY);
  }
  return fromNetwork(wanted, catalog, options, refused);
}

async function fromPath(
  modelPath: string,
  catalog: readonly ModelEntry[],
  { fault: check = ggufFault }: LocateOptions,
): Promise<FoundModel | NoModel> {
  const path = resolve(modelPath);
  const fault = await check(path);
  if (fault !== null) {
    return none(`MODEL_PATH=${modelPath} ${fault}.`, "Correct MODEL_PATH, or unset it to use models/.");
  }
  const entry = catalog.find(({ file }) => file === basename(path)) ?? null;
  return { path, entry, source: "MODEL_PATH", note: "" };
}

/** The wanted file, else the first usable one by name. Adds a sentence to `refused` for each unusable file. */
async function fromFolder(
  wanted: ModelEntry,
  catalog: readonly ModelEntry[],
  { modelsDir: folder, fault: check = ggufFault }: LocateOptions,
  refused: string[],
): Promise<FoundModel | null> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".gguf")).toSorted();
  const others = names.filter((name) => name !== wanted.file && !name.startsWith("mmproj"));
  for (const name of [...names.filter((name) => name === wanted.file), ...others]) {
    const path = resolve(folder, name);
    const entry = catalog.find(({ file }) => file === name) ?? null;
    const fault = (await sizeFault(path, entry)) ?? (await check(path));
    if (fault === null) {
      const note = entry === wanted ? "" : sentences([...refused, insteadNote(name, wanted)]);
      return { path, entry, source: "models folder", note };
    }
    refused.push(`models/${name} ${fault} and is not used.`);
  }
  return null;
}

/**
 * Checks the size only, which detects an incomplete copy. Hashing hundreds of megabytes at each start takes too long.
 */
async function sizeFault(path: string, entry: ModelEntry | null): Promise<string | null> {
  const size = await sizeOf(path);
  if (size === undefined) return "is not a file";
  if (entry === null || size === entry.size) return null;
  return `has ${size} bytes instead of ${entry.size}`;
}

function insteadNote(name: string, wanted: ModelEntry): string {
  return (
    `models/ has no ${wanted.file}, so ${name} is used. ` +
    `To fetch ${wanted.title} (${formatBytes(wanted.size)}), run: npm run model -- ${wanted.name}`
  );
}

async function fromNetwork(
  wanted: ModelEntry,
  catalog: readonly ModelEntry[],
  options: LocateOptions,
  refused: readonly string[],
): Promise<FoundModel | NoModel> {
  const failures: string[] = [...refused];
  const standIns = catalog.filter((entry) => entry.standIn && entry !== wanted);
  for (const entry of [wanted, ...standIns]) {
    try {
      const { path, from } = await fetchModel(entry, options);
      const source = entry === wanted ? `downloaded from ${from}` : `downloaded from ${from}, stand-in`;
      const note =
        entry === wanted ? sentences(refused) : sentences([...failures, standInNote(entry, wanted)]);
      return { path, entry, source, note };
    } catch (error) {
      if (!(error instanceof ModelFetchError)) throw error;
      failures.push(`${entry.title} could not be fetched: ${error.message}.`);
      options.progress.print(failures.at(-1) ?? "");
    }
  }
  return none(sentences(failures), REMEDY);
}

function standInNote(entry: ModelEntry, wanted: ModelEntry): string {
  return (
    `${entry.title} is used as a stand-in; its answers are much weaker. ` +
    `When the hub can be reached, run: npm run model -- ${wanted.name}`
  );
}

function none(reason: string, remedy: string): NoModel {
  return { path: null, reason, remedy };
}

function sentences(parts: readonly string[]): string {
  return parts.join(" ");
}
