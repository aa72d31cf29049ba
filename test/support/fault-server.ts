import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** One step of the server after the head of its response. */
export type FaultStep =
  | { readonly send: string | Uint8Array }
  | { readonly waitMs: number }
  /** Sends nothing more until the client disconnects or the server closes. */
  | { readonly stall: true }
  /** Destroys the connection without ending the response. */
  | { readonly cut: true };

/** Response of the server to one request. After the last step the response ends properly, unless it was cut. */
export interface FaultScript {
  /** Default 200. */
  readonly status?: number;
  /** Default: `content-type: text/event-stream`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Nothing is sent, not even the head, before the first step that is not a wait. */
  readonly steps: readonly FaultStep[];
}

/** JSON body of a chat completion request, with the fields that tests use. */
export interface SeenBody {
  readonly model?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly [field: string]: unknown;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: SeenBody;
  /** Whether the client closed the connection before the script was over. */
  readonly abandoned: boolean;
  /** `performance.now()` when the client closed the connection; otherwise undefined. */
  readonly abandonedAt: number | undefined;
  /** `performance.now()` when the whole request was received. */
  readonly arrivedAt: number;
  /** `performance.now()` when the request ended or its connection was closed by either side; until then undefined. */
  readonly closedAt: number | undefined;
  /** Resolves when the request ended or its connection was closed by either side. */
  readonly over: Promise<void>;
}

/** A script, or a function that selects one for the request. */
export type FaultPlan = FaultScript | ((request: SeenRequest, index: number) => FaultScript);

export interface FaultServer {
  /** `http://127.0.0.1:<port>/v1` */
  readonly baseUrl: string;
  /** All requests so far, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** Requests for the model list. They are not part of `requests`. */
  readonly modelRequests: readonly SeenRequest[];
  /** Sets the response to requests for the model list. Default: 404, like a server without such a list. */
  playModels(script: FaultScript): void;
  /** Number of requests in progress. */
  readonly running: number;
  /**
   * Sets the plans for the next requests, one each; the last plan also applies to all further requests. May be called
   * at any time, for instance to end a period of failures. Requests in progress keep their script.
   */
  play(...plans: [FaultPlan, ...FaultPlan[]]): void;
  /** Resolves with request `index` (0: the first since the start) as soon as it is received. */
  request(index: number): Promise<SeenRequest>;
  /** Destroys all connections and refuses new ones, like a server that is down. */
  goDown(): Promise<void>;
  /** Listens again on the same port. */
  comeUp(): Promise<void>;
  close(): Promise<void>;
}

type MutableRequest = { -readonly [K in keyof SeenRequest]: SeenRequest[K] };

async function bodyOf(incoming: IncomingMessage): Promise<SeenBody> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? {} : (JSON.parse(text) as SeenBody);
}

interface Stage {
  readonly response: ServerResponse;
  readonly disconnected: AbortSignal;
  /** Called before the script itself destroys the connection. */
  onCut(): void;
}

async function perform(script: FaultScript, { response, disconnected, onCut }: Stage): Promise<void> {
  response.statusCode = script.status ?? 200;
  for (const [name, value] of Object.entries(script.headers ?? { "content-type": "text/event-stream" })) {
    response.setHeader(name, value);
  }
  for (const step of script.steps) {
    if (disconnected.aborted) return;
    if ("waitMs" in step)
      await delay(step.waitMs, undefined, { signal: disconnected }).catch(() => undefined);
    else if ("stall" in step) await once(disconnected, "abort");
    else if ("send" in step) response.write(step.send);
    else {
      onCut();
      response.destroy();
    }
  }
  if (!response.destroyed) response.end();
}

/** Received requests and planned responses of one server. */
class ScriptPlayer {
  readonly requests: MutableRequest[] = [];
  readonly modelRequests: MutableRequest[] = [];
  models: FaultScript = { status: 404, headers: {}, steps: [] };
  running = 0;
  readonly #waiting = new Map<number, (request: SeenRequest) => void>();
  #plans: readonly FaultPlan[] = [{ status: 500, headers: {}, steps: [] }];
  #played = 0;

  play(plans: readonly FaultPlan[]): void {
    this.#plans = plans;
    this.#played = 0;
  }

  request(index: number): Promise<SeenRequest> {
    const seen = this.requests[index];
    return seen ? Promise.resolve(seen) : new Promise((resolve) => this.#waiting.set(index, resolve));
  }

  async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const disconnected = new AbortController();
    let cutByScript = false;
    const seen: MutableRequest = {
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      headers: incoming.headers,
      body: {},
      abandoned: false,
      abandonedAt: undefined,
      arrivedAt: Number.NaN,
      closedAt: undefined,
      over: once(response, "close").then(() => undefined),
    };
    this.running++;
    response.on("close", () => {
      this.running--;
      seen.closedAt = performance.now();
      if (!response.writableFinished && !cutByScript) {
        seen.abandoned = true;
        seen.abandonedAt = seen.closedAt;
      }
      disconnected.abort();
    });
    seen.body = await bodyOf(incoming);
    seen.arrivedAt = performance.now();
    const stage = { response, disconnected: disconnected.signal, onCut: () => (cutByScript = true) };
    if (seen.method === "GET" && /\/models(\?|$)/.test(seen.path)) {
      this.modelRequests.push(seen);
      return perform(this.models, stage);
    }
    const index = this.requests.push(seen) - 1;
    const plan = this.#plans[Math.min(this.#played++, this.#plans.length - 1)] as FaultPlan;
    this.#waiting.get(index)?.(seen);
    this.#waiting.delete(index);
    const script = typeof plan === "function" ? plan(seen, index) : plan;
    return perform(script, stage);
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function stopListening(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

/**
 * Starts an OpenAI-compatible server that plays scripts, on a free port of the loopback address.
 *
 * @param tls key and certificate in PEM format, for HTTPS
 */
export async function startFaultServer(tls?: {
  readonly key: string;
  readonly cert: string;
}): Promise<FaultServer> {
  const player = new ScriptPlayer();
  const onRequest = (incoming: IncomingMessage, response: ServerResponse) => {
    player.serve(incoming, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  };
  const server = tls ? createSecureServer(tls, onRequest) : createServer(onRequest);
  const port = await listen(server, 0);
  return {
    baseUrl: `http${tls ? "s" : ""}://127.0.0.1:${port}/v1`,
    requests: player.requests,
    modelRequests: player.modelRequests,
    playModels: (script) => (player.models = script),
    get running() {
      return player.running;
    },
    play: (...plans) => player.play(plans),
    request: (index) => player.request(index),
    goDown: () => stopListening(server),
    comeUp: async () => void (await listen(server, port)),
    close: () => stopListening(server),
  };
}
