import { mkdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { modelFault } from "./gguf-check.ts";
import { readCatalog, type ModelEntry } from "./model-catalog.ts";
import { fetchModel, type FetchOptions } from "./model-fetch.ts";
import { messageOf, printable, sizeOf } from "./model-file.ts";
import { formatBytes } from "./model-progress.ts";
import { findModelFiles } from "./model-search.ts";

export interface LocateOptions extends FetchOptions {
  /** Setting MODEL_PATH. */
  readonly modelPath: string | undefined;
  /** Setting LOCAL_MODEL: name of a catalog entry. */
  readonly localModel: string;
  /** Whether a missing model may be fetched. */
  readonly download: boolean;
  /**
   * Loads a model whose header is good. Returns null, or why it cannot be loaded; the next file is then tried. A
   * failure that is not due to the file is thrown. Default: no file is loaded, and all of them count as loadable.
   */
  readonly load?: (model: ModelFile) => Promise<string | null>;
  /** Default: models/models.json. */
  readonly catalog?: readonly ModelEntry[];
}

/** A file that could be the model. */
export interface ModelFile {
  /** Absolute path. */
  readonly path: string;
  /** Its catalog entry; null for a file that is not in the catalog. */
  readonly entry: ModelEntry | null;
}

/** The model to run. */
export interface FoundModel extends ModelFile {
  /** Source of the file, for the start banner: `MODEL_PATH`, `models folder`, `downloaded from …`, `… stand-in`. */
  readonly source: string;
  /** Why this model is used, what was passed over and why, and what to do; empty for the wanted model. */
  readonly notes: readonly string[];
}

/** No model is available. */
export interface NoModel {
  readonly path: null;
  /** Why there is none. */
  readonly reason: string;
  /** What the operator can do. */
  readonly remedy: string;
}

/** Loads take seconds to minutes each. */
const MAX_LOADS = 16;
/** Names of further usable files in a note. */
const MAX_NAMED = 10;

const REMEDY =
  "Fetch one with: npm run model (or: npm run model -- smollm2-135m-instruct), put a .gguf file into models/, or set MODEL_PATH.";

/**
 * Finds the model to run, or fetches one. It tries in this order: MODEL_PATH; the file of `localModel` in `modelsDir`;
 * the first other chat model there, by name; a download of `localModel`; the stand-in of the catalog. MODEL_PATH, when
 * set, is the only one tried. A file is judged by its header, and then by loading it. Failures are returned as {@link NoModel}.
 *
 * @throws the reason of `signal` after an abort; what `load` throws; Error for an unreadable catalog.
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
  const tried: Tried = { notes: [], failed: new Set() };
  const local = await fromFolder(wanted, catalog, options, tried);
  if (local) return local;
  if (options.download) return fromNetwork(wanted, catalog, options, tried);
  return none(sentences([...tried.notes, "models/ has no usable model and MODEL_DOWNLOAD is off."]), REMEDY);
}

/** Files that were tried in vain. */
interface Tried {
  /** A sentence for each of them. */
  readonly notes: string[];
  /** Entries whose file has a good header and cannot be loaded. Another copy would not load either. */
  readonly failed: Set<ModelEntry>;
}

async function fromPath(
  modelPath: string,
  catalog: readonly ModelEntry[],
  { load = loadable }: LocateOptions,
): Promise<FoundModel | NoModel> {
  const path = resolve(modelPath);
  const entry = catalog.find(({ file }) => file === basename(path)) ?? null;
  const headerFault = await modelFault(path);
  const fault = headerFault === null ? await load({ path, entry }) : `${headerFault}.`;
  if (fault !== null) {
    return none(`MODEL_PATH=${modelPath} ${fault}`, "Correct MODEL_PATH, or unset it to use models/.");
  }
  return { path, entry, source: "MODEL_PATH", notes: [] };
}

/** A file of models/ and what is wrong with its header. */
interface Candidate extends ModelFile {
  /** Relative to models/, for people. */
  readonly name: string;
  readonly fault: string | null;
}

/** The wanted file, else the first usable one by name. */
async function fromFolder(
  wanted: ModelEntry,
  catalog: readonly ModelEntry[],
  options: LocateOptions,
  tried: Tried,
): Promise<FoundModel | null> {
  const names = await searchFolder(wanted, options, tried);
  const isWanted = (name: string): boolean => basename(name) === wanted.file;
  const inspectAll = async (some: readonly string[]): Promise<Candidate[]> => {
    const candidates: Candidate[] = [];
    for (const name of some) candidates.push(await inspect(name, catalog, options));
    return candidates;
  };
  const source = "models folder";
  const found = await firstLoaded(await inspectAll(names.filter(isWanted)), options, tried);
  if (found !== null) return { path: found.path, entry: found.entry, source, notes: tried.notes };
  const others = await inspectAll(names.filter((name) => !isWanted(name)));
  const used = await firstLoaded(others, options, tried);
  if (used === null) return null;
  const notes = [insteadNote(used.name, wanted), ...tried.notes, ...unusedNotes(used, others)];
  return { path: used.path, entry: used.entry, source, notes };
}

async function searchFolder(
  wanted: ModelEntry,
  options: LocateOptions,
  { notes }: Tried,
): Promise<readonly string[]> {
  try {
    await mkdir(options.modelsDir, { recursive: true });
    const found = await findModelFiles(options.modelsDir, wanted.file);
    notes.push(...found.notes);
    return found.files;
  } catch (error) {
    notes.push(`models folder ${options.modelsDir}: ${messageOf(error)}.`);
    return [];
  }
}

async function inspect(
  name: string,
  catalog: readonly ModelEntry[],
  { modelsDir, signal }: LocateOptions,
): Promise<Candidate> {
  signal.throwIfAborted();
  const path = resolve(modelsDir, name);
  const entry = catalog.find(({ file }) => file === basename(name)) ?? null;
  const fault = (await sizeFault(path, entry)) ?? (await modelFault(path));
  // A fault may contain names from the file, and the path.
  return { name: printable(name), path, entry, fault: fault === null ? null : printable(fault) };
}

/** The first candidate that loads; null if none does. */
async function firstLoaded(
  candidates: readonly Candidate[],
  { load = loadable, signal }: LocateOptions,
  { notes, failed }: Tried,
): Promise<Candidate | null> {
  let loads = 0;
  for (const candidate of candidates) {
    if (candidate.fault !== null) {
      notes.push(passedOver(candidate));
      continue;
    }
    signal.throwIfAborted();
    if (++loads > MAX_LOADS) {
      notes.push(`${MAX_LOADS} files in models/ could not be loaded, so no further one is tried.`);
      return null;
    }
    const fault = await load(candidate);
    if (fault === null) return candidate;
    notes.push(`models/${candidate.name} ${fault}`);
    if (candidate.entry !== null) failed.add(candidate.entry);
  }
  return null;
}

function loadable(): Promise<null> {
  return Promise.resolve(null);
}

/** Notes about the files after the one that is used. Its own further parts are left out. */
function unusedNotes(used: Candidate, all: readonly Candidate[]): string[] {
  const later = all.slice(all.indexOf(used) + 1);
  const unusable = later.filter(({ path, fault }) => fault !== null && !isSameModel(path, used.path));
  const usable = later.filter(({ fault }) => fault === null).map(({ name }) => name);
  const shown = usable.slice(0, MAX_NAMED).join(", ");
  const more = usable.length > MAX_NAMED ? ` and ${usable.length - MAX_NAMED} more` : "";
  return [
    ...unusable.map(passedOver),
    ...(usable.length === 0
      ? []
      : [`models/ also has ${shown}${more}. To use another file, set MODEL_PATH.`]),
  ];
}

/** Whether two files are parts of one split model. */
function isSameModel(left: string, right: string): boolean {
  const whole = (path: string): string => path.replace(/-\d{5}(-of-\d{5}\.gguf)$/i, "$1");
  return whole(left) === whole(right);
}

function passedOver({ name, fault }: Candidate): string {
  return `models/${name} is not used: it ${fault}.`;
}

/**
 * Checks the size only, which detects an incomplete copy. Hashing hundreds of megabytes at each start takes too long.
 */
async function sizeFault(path: string, entry: ModelEntry | null): Promise<string | null> {
  if (entry === null) return null;
  // The check of the header reports a file that cannot be read.
  const size = await sizeOf(path).catch(() => undefined);
  return size === undefined || size === entry.size ? null : `has ${size} bytes instead of ${entry.size}`;
}

function insteadNote(name: string, wanted: ModelEntry): string {
  return (
    `models/ has no usable ${wanted.file}, so ${name} is used. ` +
    `To fetch ${wanted.title} (${formatBytes(wanted.size)}), run: npm run model -- ${wanted.name}`
  );
}

async function fromNetwork(
  wanted: ModelEntry,
  catalog: readonly ModelEntry[],
  options: LocateOptions,
  { notes, failed }: Tried,
): Promise<FoundModel | NoModel> {
  const standIns = catalog.filter((entry) => entry.standIn && entry !== wanted);
  for (const entry of [wanted, ...standIns].filter((one) => !failed.has(one))) {
    const outcome = await fetchAndLoad(entry, options);
    if (typeof outcome !== "string") {
      const { path, from } = outcome;
      const source = entry === wanted ? `downloaded from ${from}` : `downloaded from ${from}, stand-in`;
      return {
        path,
        entry,
        source,
        notes: entry === wanted ? notes : [...notes, standInNote(entry, wanted)],
      };
    }
    notes.push(outcome);
    options.progress.print(outcome);
  }
  return none(sentences(notes), REMEDY);
}

/** @returns path and source of the model, or a sentence that says why it cannot be used */
async function fetchAndLoad(entry: ModelEntry, options: LocateOptions) {
  let fetched;
  try {
    fetched = await fetchModel(entry, options);
  } catch (error) {
    options.signal.throwIfAborted();
    return `${entry.title} could not be fetched: ${messageOf(error)}.`;
  }
  const fault = await (options.load ?? loadable)({ path: fetched.path, entry });
  return fault === null ? fetched : `models/${entry.file} ${fault}`;
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
