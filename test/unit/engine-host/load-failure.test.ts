import { describe, expect, it } from "vitest";
import { describeFailedLoad, type FailedLoad } from "../../../src/engine-host/load-failure.ts";

const failed = (changes: Partial<FailedLoad>): string =>
  describeFailedLoad({ code: 1, signal: null, reported: "Failed to load model", lines: [], ...changes });

describe("the description of a failed load", () => {
  it.each([
    [
      "llama_model_load: error loading model: tensor 'output.weight' data is not within the file bounds, model is corrupted or incomplete",
      /^tensor 'output\.weight' data is not within the file bounds, model is corrupted or incomplete\. The file is damaged/,
    ],
    [
      "llama_model_load: error loading model: unknown model architecture: 'nova'",
      /^unknown model architecture: 'nova'\. .*node-llama-cpp does not support/,
    ],
    [
      "llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer type: 'nova'",
      /^unknown pre-tokenizer type: 'nova'\. .*node-llama-cpp does not support/,
    ],
    [
      "llama_model_load: error loading model: error loading model hyperparameters: key not found in model: llama.context_length",
      /^key not found in model: llama\.context_length\. The file lacks/,
    ],
    [
      "llama_model_load: error loading model: check_tensor_dims: tensor 'blk.1.attn_q.weight' not found",
      /^tensor 'blk\.1\.attn_q\.weight' not found\. The file lacks/,
    ],
    ["llama_model_load: error loading model: missing tensor 'x'", /^missing tensor 'x'\. The file lacks/],
    [
      "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
      /^unable to allocate CUDA0 buffer\. Use a smaller/,
    ],
    [
      "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 1234",
      /^failed to allocate buffer .*\. Use a smaller/,
    ],
    ["CUDA error: out of memory", /out of memory\. Use a smaller/],
    [
      "llama_model_load: error loading model: illegal split file idx: 1 (file: a.gguf), model must be loaded with the first split",
      /^illegal split file idx.*first split\. Keep all parts/,
    ],
    ["llama_model_load: error loading model: something new", /^something new\. Check that it is a complete/],
  ])("has the cause that the library printed: %s", (line, expected) => {
    expect(
      failed({ lines: ["unrelated", line, "llama_model_load_from_file_impl: failed to load model"] }),
    ).toMatch(expected);
  });

  it("falls back to the reported reason", () => {
    expect(failed({ lines: ["unrelated"] })).toBe(
      "Failed to load model. Check that it is a complete GGUF file of a chat model.",
    );
  });

  it("has the assertion or the signal that ended the process", () => {
    const crash = { reported: undefined, code: null } as const;
    expect(failed({ ...crash, signal: "SIGABRT", lines: ["ggml.c:12: GGML_ASSERT(a == b) failed"] })).toMatch(
      /^GGML_ASSERT\(a == b\) failed \(SIGABRT\)\. The model file may be damaged/,
    );
    expect(failed({ ...crash, signal: "SIGSEGV" })).toMatch(/\(SIGSEGV\)\. The model file may be damaged/);
    expect(failed({ ...crash, signal: "SIGKILL" })).toMatch(/\(SIGKILL\)\. .*out of memory/);
  });
});
