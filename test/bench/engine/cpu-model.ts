import { getLlama, LlamaLogLevel, type LlamaModel } from "node-llama-cpp";

/** Loads a GGUF file into node-llama-cpp itself, on the CPU, with so many threads at most. Nothing is built or fetched. */
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
