import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** One act of the server after the head of its response. */
export type FaultStep =
  | { readonly send: string | Uint8Array }
  | { readonly waitMs: number }
  /** Says nothing more until the client goes or the server closes. */
  | { readonly stall: true }
  /** Destroys the connection without an end. */
  | { readonly cut: true };

/** What the server does with one request. After the last step the response ends properly, unless it was cut. */
export interface FaultScript {
  /** Default 200. */
  readonly status?: number;
  /** Default: `content-type: text/event-stream`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Nothing at all is sent, not even a head, before the first step that is not a wait. */
  readonly steps: readonly FaultStep[];
}

/** The JSON body of a chat completion request, as far as tests look at it. */
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
  /** `performance.now()` of that, else undefined. */
  readonly abandonedAt: number | undefined;
  /** `performance.now()` when the whole request had come in. */
  readonly arrivedAt: number;
  /** `performance.now()` when this request was over or its connection gone, whoever ended it; until then undefined. */
  readonly closedAt: number | undefined;
  /** Resolves when the connection of this request is over, whoever ended it. */
  readonly over: Promise<void>;
}

/** A script, or a function that chooses one by the request. */
export type FaultPlan = FaultScript | ((request: SeenRequest, index: number) => FaultScript);

export interface FaultServer {
  /** `http://127.0.0.1:<port>/v1` */
  readonly baseUrl: string;
  /** All requests so far, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** The requests for the list of models, which the server does not take for requests of a chat. */
  readonly modelRequests: readonly SeenRequest[];
  /** What every request for the list of models gets; at first a 404, as from a server that has no such list. */
  playModels(script: FaultScript): void;
  /** Requests that the server works on at this moment. */
  readonly running: number;
  /**
   * The plans for the next requests, one each; the last one also for all after it. May be called at any time, so that
   * a server fails for a while and is well again; what already runs keeps its script.
   */
  play(...plans: [FaultPlan, ...FaultPlan[]]): void;
  /** Resolves with request `index` (0: the first since the start) as soon as it has come in. */
  request(index: number): Promise<SeenRequest>;
  /** Destroys all connections and refuses new ones, as a server that is down. */
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
  readonly gone: AbortSignal;
  /** Called before the script itself destroys the connection. */
  onCut(): void;
}

async function perform(script: FaultScript, { response, gone, onCut }: Stage): Promise<void> {
  response.statusCode = script.status ?? 200;
  for (const [name, value] of Object.entries(script.headers ?? { "content-type": "text/event-stream" })) {
    response.setHeader(name, value);
  }
  for (const step of script.steps) {
    if (gone.aborted) return;
    if ("waitMs" in step) await delay(step.waitMs, undefined, { signal: gone }).catch(() => undefined);
    else if ("stall" in step) await once(gone, "abort");
    else if ("send" in step) response.write(step.send);
    else {
      onCut();
      response.destroy();
    }
  }
  if (!response.destroyed) response.end();
}

/** What one server has seen and is about to play. */
class Theatre {
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
    const gone = new AbortController();
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
      gone.abort();
    });
    seen.body = await bodyOf(incoming);
    seen.arrivedAt = performance.now();
    const stage = { response, gone: gone.signal, onCut: () => (cutByScript = true) };
    if (seen.method === "GET" && seen.path.endsWith("/models")) {
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
 * Starts a server on a free port of the loopback address that plays scripts as an OpenAI-compatible server.
 *
 * @param tls key and certificate in PEM: it then speaks HTTPS
 */
export async function startFaultServer(tls?: {
  readonly key: string;
  readonly cert: string;
}): Promise<FaultServer> {
  const theatre = new Theatre();
  const onRequest = (incoming: IncomingMessage, response: ServerResponse) => {
    theatre.serve(incoming, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  };
  const server = tls ? createSecureServer(tls, onRequest) : createServer(onRequest);
  const port = await listen(server, 0);
  return {
    baseUrl: `http${tls ? "s" : ""}://127.0.0.1:${port}/v1`,
    requests: theatre.requests,
    modelRequests: theatre.modelRequests,
    playModels: (script) => (theatre.models = script),
    get running() {
      return theatre.running;
    },
    play: (...plans) => theatre.play(plans),
    request: (index) => theatre.request(index),
    goDown: () => stopListening(server),
    comeUp: async () => void (await listen(server, port)),
    close: () => stopListening(server),
  };
}
