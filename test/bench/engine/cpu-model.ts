import { getLlama, LlamaLogLevel, type LlamaModel } from "node-llama-cpp";

/** Loads a GGUF file with node-llama-cpp, on the CPU, with at most `threads` threads. Builds and downloads nothing. */
export async function openCpuModel(modelPath: string, threads: number): Promise<LlamaModel> {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  });
  return llama.loadModel({ modelPath });
}
