import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
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
  /** The plans for the next requests, one each; the last one also for all after it. */
  play(...plans: [FaultPlan, ...FaultPlan[]]): void;
  /** Resolves with request `index` (0: the first since the start) as soon as it has come in. */
  request(index: number): Promise<SeenRequest>;
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

/** Starts an HTTP server on a free port of the loopback address that plays scripts as an OpenAI-compatible server. */
export async function startFaultServer(): Promise<FaultServer> {
  const requests: MutableRequest[] = [];
  const waiting = new Map<number, (request: SeenRequest) => void>();
  let plans: readonly FaultPlan[] = [{ status: 500, headers: {}, steps: [] }];
  let played = 0;

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const seen: MutableRequest = {
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      headers: incoming.headers,
      body: {},
      abandoned: false,
      abandonedAt: undefined,
      over: once(response, "close").then(() => undefined),
    };
    let cutByScript = false;
    response.on("close", () => {
      if (!response.writableFinished && !cutByScript) {
        seen.abandoned = true;
        seen.abandonedAt = performance.now();
      }
      gone.abort();
    });
    seen.body = await bodyOf(incoming);
    const index = requests.push(seen) - 1;
    const plan = plans[Math.min(played++, plans.length - 1)] as FaultPlan;
    waiting.get(index)?.(seen);
    waiting.delete(index);
    const script = typeof plan === "function" ? plan(seen, index) : plan;
    await perform(script, { response, gone: gone.signal, onCut: () => (cutByScript = true) });
  }

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    play(...next) {
      plans = next;
      played = 0;
    },
    request(index) {
      const seen = requests[index];
      return seen ? Promise.resolve(seen) : new Promise((resolve) => waiting.set(index, resolve));
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
