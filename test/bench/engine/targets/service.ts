import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import { createTokenSigner, type TokenSigner } from "../../../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../../../src/core/clock.ts";
import type { ServerFrame } from "../../../../src/protocol/server-frames.ts";
import { startService } from "../../../support/service.ts";
import type { Answer, Ask, ChatTarget, Model, TargetSpec } from "../chat-target.ts";
import { AnswerRecorder } from "./answer-recorder.ts";

const TOKEN_SECONDS = 86_400;

export interface ServiceTargetOptions {
  readonly model: Model;
  readonly threads: number;
  /** Settings given on the command line. They override those of the scenario. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Name in the report, to distinguish two configurations. Default: `service`. */
  readonly name?: string;
}

/** Starts the built service and drives it over WebSockets. Each user has its own token and socket. */
export async function startServiceTarget(
  { model, threads, settings, name = "service" }: ServiceTargetOptions,
  spec: TargetSpec,
): Promise<ChatTarget> {
  const secret = randomBytes(32).toString("hex");
  const flags = {
    MODEL_PATH: model.path,
    GPU: "off",
    LOCAL_SLOTS: String(spec.slots),
    LOCAL_CONTEXT_SIZE: String(spec.contextTokens),
    LOCAL_THREADS: String(threads),
    SYSTEM_PROMPT: spec.systemPrompt,
    ...spec.settings,
    ...settings,
  };
  const service = await startService({ ...flags, JWT_SECRET: secret });
  const users = new Users(`${service.url}/ws/chat/auth`, createTokenSigner({ secret, clock }));
  return {
    name,
    flags,
    get pids() {
      const engine = service.enginePid();
      return engine === undefined ? [service.pid] : [service.pid, engine];
    },
    async connect(names) {
      await Promise.all(names.map((user) => users.of(user)));
    },
    chat: async (ask) => (await users.of(ask.user)).chat(ask),
    async stop() {
      users.close();
      await service.stop();
    },
  };
}

/** The open sockets, by user. */
class Users {
  readonly #url: string;
  readonly #sign: TokenSigner;
  readonly #sockets = new Map<string, Promise<UserSocket>>();

  constructor(url: string, sign: TokenSigner) {
    this.#url = url;
    this.#sign = sign;
  }

  of(user: string): Promise<UserSocket> {
    let socket = this.#sockets.get(user);
    if (!socket) {
      const protocols = ["chat.v1", `bearer.${this.#sign(user, TOKEN_SECONDS)}`];
      socket = UserSocket.open(new WebSocket(this.#url, protocols, { perMessageDeflate: false }));
      this.#sockets.set(user, socket);
    }
    return socket;
  }

  close(): void {
    // A failure to open was already reported to the caller of `of`.
    for (const socket of this.#sockets.values()) socket.then((open) => open.close()).catch(() => {});
  }
}

interface Open {
  readonly recorder: AnswerRecorder;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** A user's socket. It keeps only what is recorded of an answer, since a bench runs for hours. */
class UserSocket {
  readonly #socket: WebSocket;
  readonly #open = new Map<string, Open>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => this.#take(JSON.parse(data.toString("utf8")) as ServerFrame));
    socket.on("close", (code) => {
      for (const { reject } of this.#open.values())
        reject(new Error(`the service closed a socket with ${code}`));
      this.#open.clear();
    });
    // A connection error is always followed by the close event above.
    socket.on("error", () => {});
  }

  /** Resolves when the welcome arrives. */
  static open(socket: WebSocket): Promise<UserSocket> {
    return new Promise((resolve, reject) => {
      socket.once("message", () => resolve(new UserSocket(socket)));
      socket.once("error", reject);
      socket.once("close", (code) => reject(new Error(`the service closed a socket with ${code}`)));
    });
  }

  chat({ conversation, turns, maxTokens, signal, ...ask }: Ask): Promise<Answer> {
    const id = `q${++this.#lastId}`;
    const message = turns.at(-1)?.content ?? "";
    return new Promise((resolve, reject) => {
      const cancel = (): void => this.#socket.send(JSON.stringify({ type: "cancel", id, conversation }));
      const settled = (): void => {
        this.#open.delete(id);
        signal?.removeEventListener("abort", cancel);
      };
      this.#open.set(id, {
        recorder: new AnswerRecorder({ conversation, turns, maxTokens, ...ask }),
        resolve: (answer) => {
          settled();
          resolve(answer);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#socket.send(JSON.stringify({ message, id, conversation, max_tokens: maxTokens }));
      signal?.addEventListener("abort", cancel, { once: true });
      if (signal?.aborted === true) cancel();
    });
  }

  close(): void {
    this.#socket.terminate();
  }

  #take(frame: ServerFrame): void {
    const open = "id" in frame && frame.id !== undefined ? this.#open.get(frame.id) : undefined;
    if (!open) return;
    if (frame.type === "token") open.recorder.text(frame.content);
    else if (frame.type === "queued" && frame.reason === "engine") open.recorder.queued(frame.eta_ms ?? null);
    // Reply to a cancel that arrived after the end of the answer. It may overtake the closing message.
    else if (frame.type === "error" && frame.code === "unknown_answer") return;
    else if (frame.type === "error")
      open.reject(new Error(`the service sent the error ${frame.code}: ${frame.message}`));
    else if (frame.type === "message") {
      const { prompt_tokens, completion_tokens, cached_tokens } = frame.usage;
      const usage = {
        promptTokens: prompt_tokens,
        completionTokens: completion_tokens,
        cachedTokens: cached_tokens,
      };
      const cancelled = frame.finish_reason === "cancelled";
      open.resolve(open.recorder.end(usage, cancelled, frame.timings.queue_ms));
    }
  }
}
