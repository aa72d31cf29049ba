import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answer, ChatTarget, Model, TargetSpec, Turn } from "../chat-target.ts";
import { AnswerRecorder } from "./answer-recorder.ts";
import type { FreeRunningCommand, FreeRunningReply } from "./free-running-main.ts";

export interface FreeRunningOptions {
  readonly model: Model;
  readonly threads: number;
}

interface Open {
  readonly recorder: AnswerRecorder;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * node-llama-cpp as its guide shows it: each answer is a loop over `sequence.evaluate()`, and all loops run freely in
 * one process that does nothing else. Tokens are sent over the fork channel, which costs less than any network
 * protocol.
 */
export async function startFreeRunning(
  { model, threads }: FreeRunningOptions,
  spec: TargetSpec,
): Promise<ChatTarget> {
  const child = fork(fileURLToPath(new URL("free-running-main.ts", import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const flags = {
    sequences: String(spec.slots),
    context: String(spec.contextTokens),
    threads: String(threads),
  };
  const open = new Map<number, Open>();
  const send = (command: FreeRunningCommand): void => void child.send(command);
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (reply: FreeRunningReply) => {
      if (reply.type === "ready") resolve();
      else handleReply(open, reply);
    });
    child.once("exit", (code) => {
      const error = new Error(`the free-running process exited with code ${code}`);
      reject(error);
      for (const { reject: rejectOpen } of open.values()) rejectOpen(error);
    });
  });
  send({ type: "load", model, threads, slots: spec.slots, contextTokens: spec.contextTokens });
  await ready;
  let lastId = 0;
  return {
    name: "free-running",
    flags,
    pids: [child.pid as number],
    connect: async () => {},
    async chat(ask) {
      const id = ++lastId;
      const cancel = (): void => send({ type: "cancel", id });
      const answer = new Promise<Answer>((resolve, reject) => {
        open.set(id, { recorder: new AnswerRecorder(ask), resolve, reject });
      });
      send({ type: "chat", id, prompt: zephyr(spec.systemPrompt, ask.turns), maxTokens: ask.maxTokens });
      ask.signal?.addEventListener("abort", cancel, { once: true });
      if (ask.signal?.aborted === true) cancel();
      try {
        return await answer;
      } finally {
        ask.signal?.removeEventListener("abort", cancel);
      }
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Zephyr's chat template, which TinyLlama uses: the control runs on a model of that shape. */
function zephyr(system: string, turns: readonly Turn[]): string {
  const all = [...(system === "" ? [] : [{ role: "system", content: system }]), ...turns];
  return `${all.map(({ role, content }) => `<|${role}|>\n${content}</s>\n`).join("")}<|assistant|>\n`;
}

function handleReply(open: Map<number, Open>, reply: Exclude<FreeRunningReply, { type: "ready" }>): void {
  const pending = open.get(reply.id);
  if (!pending) return;
  if (reply.type === "text") {
    pending.recorder.text(reply.text);
    return;
  }
  open.delete(reply.id);
  if (reply.type === "failed") pending.reject(new Error(`free-running: ${reply.message}`));
  else pending.resolve(pending.recorder.end({ ...reply.usage, cachedTokens: 0 }, reply.cancelled));
}
