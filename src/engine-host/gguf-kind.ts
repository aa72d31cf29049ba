import type { GgufHeader, GgufValue } from "./gguf-header.ts";
import { GgufFault } from "./gguf-reader.ts";

/** Kinds of files that llama.cpp's tools write and that cannot answer messages. */
const PROJECTOR = "a projector for images or audio (mmproj), which only extends a chat model";
const ADAPTER = "an adapter (LoRA), which only changes a chat model";
const CONTROL_VECTOR = "a control vector, which only changes a chat model";
const MATRIX = "an importance matrix, which is only used to quantize a model";
const VOCABULARY = "a vocabulary without a model";
const EMBEDDINGS = "a model for embeddings, which writes no text";
const RERANKER = "a reranker, which writes no text";
const ENCODER = "an encoder, which writes no text";
const DRAFT = "a draft model, which only speeds up a larger model";
const DIFFUSION = "a diffusion model, which does not write its text in order";
const SPEECH = "a part of a speech model";

/** By `general.type`; `model`, or no type, is a model. */
const kindOfType: ReadonlyMap<string, string> = new Map([
  ["mmproj", PROJECTOR],
  ["clip-vision", PROJECTOR],
  ["projector", PROJECTOR],
  ["adapter", ADAPTER],
  ["lora", ADAPTER],
  ["imatrix", MATRIX],
  ["controlvector", CONTROL_VECTOR],
  ["vocab", VOCABULARY],
]);

/** By `general.architecture`. Older files have no type. */
const kindOfArchitecture: ReadonlyMap<string, string> = new Map([
  ["clip", PROJECTOR],
  ["mmproj", PROJECTOR],
  ["imatrix", MATRIX],
  ["controlvector", CONTROL_VECTOR],
  ["bert", EMBEDDINGS],
  ["modern-bert", EMBEDDINGS],
  ["nomic-bert", EMBEDDINGS],
  ["nomic-bert-moe", EMBEDDINGS],
  ["neo-bert", EMBEDDINGS],
  ["jina-bert-v2", EMBEDDINGS],
  ["jina-bert-v3", EMBEDDINGS],
  ["eurobert", EMBEDDINGS],
  ["gemma-embedding", EMBEDDINGS],
  ["llama-embed", EMBEDDINGS],
  ["t5", "an encoder with a decoder, which this service cannot run"],
  ["t5encoder", ENCODER],
  ["dream", DIFFUSION],
  ["llada", DIFFUSION],
  ["llada-moe", DIFFUSION],
  ["rnd1", DIFFUSION],
  ["eagle3", DRAFT],
  ["dflash", DRAFT],
  ["gemma4-assistant", DRAFT],
  ["wavtokenizer-dec", SPEECH],
  ["qwen3tts", SPEECH],
]);

/** Values of `<architecture>.pooling_type`. Models that write text have none, or 0. */
const RANK_POOLING = 4;

/** Keys that only one kind of file has, for files without a type. */
const kindOfKey: ReadonlyMap<string, string> = new Map([
  ["adapter.type", ADAPTER],
  ["imatrix.datasets", MATRIX],
  ["imatrix.chunk_count", MATRIX],
  ["controlvector.model_hint", CONTROL_VECTOR],
  ["clip.has_vision_encoder", PROJECTOR],
  ["clip.has_audio_encoder", PROJECTOR],
]);

/**
 * Refuses files that are valid but cannot answer messages.
 *
 * @throws GgufFault that says what the file is
 */
export function checkKind({ values, tensors }: GgufHeader): void {
  const kind = kindOf(values) ?? (isVocabulary(values, tensors.length) ? VOCABULARY : undefined);
  if (kind !== undefined) throw new GgufFault(`is ${kind}`);
}

function kindOf(values: ReadonlyMap<string, GgufValue>): string | undefined {
  const type = textOf(values, "general.type")?.toLowerCase() ?? "model";
  if (type !== "model")
    return kindOfType.get(type) ?? `a file of the type ${JSON.stringify(type)}, not a model`;
  const architecture = textOf(values, "general.architecture") ?? "";
  const known = kindOfArchitecture.get(architecture);
  const pooling = values.get(`${architecture}.pooling_type`);
  const pools = pooling?.kind === "integer" ? pooling.number : 0;
  if (pools === RANK_POOLING || values.has(`${architecture}.classifier.output_labels`)) return RERANKER;
  if (known !== undefined) return known;
  if (pools > 0) return EMBEDDINGS;
  const causal = values.get(`${architecture}.attention.causal`);
  if (causal?.kind === "boolean" && !causal.value) return ENCODER;
  for (const [key, kind] of kindOfKey) if (values.has(key)) return kind;
  return undefined;
}

/** Whether a file has a tokenizer and nothing else. The first part of a split model may have no tensors. */
function isVocabulary(values: ReadonlyMap<string, GgufValue>, tensors: number): boolean {
  const parts = values.get("split.count");
  const isPart = parts?.kind === "integer" && parts.number > 1;
  return tensors === 0 && !isPart && values.has("tokenizer.ggml.model");
}

/** A text of the metadata; undefined where it is absent or long. */
function textOf(values: ReadonlyMap<string, GgufValue>, key: string): string | undefined {
  const value = values.get(key);
  return value?.kind === "text" ? value.text : undefined;
}
