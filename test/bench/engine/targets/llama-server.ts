import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import type { Answer, AnswerUsage, Ask, ChatTarget, Model, TargetSpec } from "../chat-target.ts";
import { AnswerRecorder } from "./answer-recorder.ts";
import { ServerSentEvents } from "./server-sent-events.ts";

/** Longest time until llama-server is ready, in milliseconds. */
const START_MS = 120_000;

/** Window of the repeat penalty in tokens, the same as the service's. */
const PENALTY_TOKENS = 64;

export interface LlamaServerOptions {
  readonly binary: string;
  readonly model: Model;
  readonly threads: number;
}

interface Chunk {
  readonly error?: { readonly message?: string };
  readonly choices?: readonly { readonly delta: { readonly content?: string | null } }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  };
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/**
 * Starts llama-server with its defaults: template from the model file, default batch sizes, prompt cache on. Only what
 * the bench fixes for all servers is set, and enough HTTP threads that no client waits for one.
 */
export async function startLlamaServer(
  { binary, model, threads }: LlamaServerOptions,
  spec: TargetSpec,
): Promise<ChatTarget> {
  const port = await freePort();
  const flags = {
    "-c": String(spec.slots * spec.contextTokens),
    "-np": String(spec.slots),
    "-t": String(threads),
    "--threads-http": String(Math.max(64, spec.slots * 4)),
  };
  const args = ["-m", model.path, "--host", "127.0.0.1", "--port", String(port)];
  const child = spawn(binary, [...args, ...Object.entries(flags).flat()], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4000)));
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await untilHealthy(port, child, () => stderr);
  } catch (error) {
    await stop();
    throw error;
  }
  const sampling = samplingFields(model);
  const system = spec.systemPrompt === "" ? [] : [{ role: "system", content: spec.systemPrompt }];
  return {
    name: "llama-server",
    flags,
    pids: [child.pid as number],
    connect: async () => {},
    chat: (ask) => {
      const body = { messages: [...system, ...ask.turns], max_tokens: ask.maxTokens, ...sampling };
      const streaming = { stream: true, stream_options: { include_usage: true } };
      return stream(port, JSON.stringify({ ...body, ...streaming }), ask);
    },
    stop,
  };
}

function samplingFields({ sampling }: Model) {
  return {
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    repeat_penalty: sampling.repeatPenalty,
    repeat_last_n: PENALTY_TOKENS,
  };
}

/** Sends one request on its own connection, since idle connections would hold the server's HTTP threads. */
function stream(port: number, body: string, ask: Ask): Promise<Answer> {
  const recorder = new AnswerRecorder(ask);
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const path = "/v1/chat/completions";
    const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers, agent: false });
    const cancel = (): void => {
      resolve(recorder.end(null, true));
      sent.destroy();
    };
    ask.signal?.addEventListener("abort", cancel, { once: true });
    // After a cancel the promise is already settled, so the error of the destroyed request has no effect.
    sent.once("error", reject);
    sent.once("response", (response) => {
      read(response, recorder).then((usage) => {
        ask.signal?.removeEventListener("abort", cancel);
        resolve(recorder.end(usage, false));
      }, reject);
    });
    sent.end(body);
    if (ask.signal?.aborted === true) cancel();
  });
}

function read(response: IncomingMessage, recorder: AnswerRecorder): Promise<AnswerUsage> {
  const events = new ServerSentEvents();
  let usage: AnswerUsage | null = null;
  let raw = "";
  response.setEncoding("utf8");
  return new Promise((resolve, reject) => {
    response.on("data", (chunk: string) => {
      if (response.statusCode !== 200) raw += chunk;
      for (const data of events.push(chunk)) {
        if (data === "[DONE]") continue;
        const message = JSON.parse(data) as Chunk;
        if (message.error) reject(new Error(`llama-server: ${message.error.message ?? data}`));
        recorder.text(message.choices?.[0]?.delta.content ?? "");
        usage = usageOf(message) ?? usage;
      }
    });
    response.once("error", reject);
    response.once("end", () => {
      if (usage !== null) resolve(usage);
      else
        reject(
          new Error(
            `llama-server answered with status ${response.statusCode} and no usage: ${raw.slice(0, 500)}`,
          ),
        );
    });
  });
}

function usageOf({ usage }: Chunk): AnswerUsage | null {
  if (!usage) return null;
  return {
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

async function untilHealthy(port: number, child: ChildProcess, stderr: () => string): Promise<void> {
  const end = Date.now() + START_MS;
  let startError: Error | null = null;
  child.once("error", (error) => (startError = error));
  for (;;) {
    if (startError !== null) throw startError;
    if (child.exitCode !== null)
      throw new Error(`llama-server exited with code ${child.exitCode}:\n${stderr()}`);
    if (Date.now() > end)
      throw new Error(`llama-server was not ready within ${START_MS / 1000} s:\n${stderr()}`);
    // The connection is refused until it listens, and answered with 503 until the model is loaded.
    const status = await fetch(`http://127.0.0.1:${port}/health`).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
