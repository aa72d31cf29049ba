import { basename, dirname, join } from "node:path";
import type { GgufHeader } from "./gguf-header.ts";
import { GgufFault } from "./gguf-reader.ts";

/** Parts of the largest split models are a few dozen. */
const MAX_PARTS = 1024;

/** Place of a file among the parts of a split model. */
export interface PartPlace {
  /** 0 is the first part. */
  readonly index: number;
  readonly count: number;
}

/** The place of a part; null for a file that holds a whole model. @throws GgufFault for impossible numbers */
export function partPlace({ values }: Pick<GgufHeader, "values">): PartPlace | null {
  const number = (key: string): number | undefined => {
    const value = values.get(key);
    if (value !== undefined && value.kind !== "integer") throw new GgufFault(`has no integer in ${key}`);
    return value?.number;
  };
  const count = number("split.count") ?? 1;
  const index = number("split.no") ?? 0;
  if (count <= 1 && index === 0) return null;
  if (count > MAX_PARTS || index < 0 || index >= count) {
    throw new GgufFault(`claims to be part ${index + 1} of ${count}; up to ${MAX_PARTS} parts are read`);
  }
  return { index, count };
}

/**
 * Checks that all parts beside the first one are complete. llama.cpp finds them by their names.
 *
 * @param file path of the first part
 * @param readPart reads the header of another part and checks its tensors
 * @throws GgufFault that names the part that is missing or unusable
 */
export async function checkParts(
  file: string,
  header: GgufHeader,
  { count }: PartPlace,
  readPart: (path: string) => Promise<GgufHeader>,
): Promise<void> {
  const paths = partPaths(file, count);
  if (paths === null) {
    throw new GgufFault(
      `is part 1 of ${count}, but its name does not end in ${partEnding(0, count)}, by which the others are found`,
    );
  }
  let tensors = header.tensors.length;
  for (const [index, path] of paths.entries()) {
    if (index === 0) continue;
    const part = await readPart(path).catch((error: unknown) => {
      if (!(error instanceof GgufFault)) throw error;
      throw new GgufFault(
        `is part 1 of ${count}, and part ${index + 1} (${basename(path)}) ${error.message}`,
      );
    });
    const place = partPlace(part);
    if (place?.index !== index || place.count !== count) {
      throw new GgufFault(`is part 1 of ${count}, and ${basename(path)} is not its part ${index + 1}`);
    }
    tensors += part.tensors.length;
  }
  const expected = header.values.get("split.tensors.count");
  if (expected?.kind === "integer" && expected.number !== tensors) {
    throw new GgufFault(`has ${tensors} tensors in its ${count} parts instead of ${expected.number}`);
  }
}

/** Predicate of a part that is not the first one. */
export function laterPartFault(file: string, { index, count }: PartPlace): string {
  const first = basename(file).replace(/-\d{5}-of-\d{5}\.gguf$/i, partEnding(0, count));
  return `is part ${index + 1} of ${count} of a split model, which is loaded by its first part (${first})`;
}

/** Paths of all parts, the first one included; null if the first one is not named as a first part. */
function partPaths(first: string, count: number): string[] | null {
  const ending = partEnding(0, count);
  const name = basename(first);
  if (!name.endsWith(ending)) return null;
  const start = name.slice(0, -ending.length);
  return Array.from({ length: count }, (_, index) => join(dirname(first), start + partEnding(index, count)));
}

/** The name of a model without the ending of its file. */
export function modelNameOf(file: string): string {
  return basename(file).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
}

function partEnding(index: number, count: number): string {
  return `-${String(index + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;
}
