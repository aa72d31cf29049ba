import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import type { AddressResolver } from "../../auth/client-address.ts";
import type { HostPolicy } from "../../auth/host-policy.ts";
import type { OriginPolicy } from "../../auth/origin-policy.ts";
import type { LoopWatch } from "../../core/loop-watch.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import {
  contradictionReply,
  errorReply,
  tooManyRequestsReply,
  type HttpReply,
  type HttpRequestFacts,
  type HttpRoute,
} from "./http-reply.ts";
import { HttpExchange, type HttpHost } from "./http-exchange.ts";
import { peerFacts } from "./peer-facts.ts";

/** Routes and checks of plain HTTP requests. */
export interface HttpRouterOptions {
  /** Routes by path, for GET and HEAD; other methods are not supported. */
  readonly routes: ReadonlyMap<string, HttpRoute>;
  /** Paths that are WebSocket endpoints. */
  readonly socketPaths: readonly string[];
  readonly originPolicy: OriginPolicy;
  readonly hostPolicy: HostPolicy;
  readonly resolveAddress: AddressResolver;
  readonly connections: ConnectionLimits;
  readonly metrics: Metrics;
  readonly watch: LoopWatch;
  readonly http: HttpHost;
}

/** Supported methods, as a value of the Allow header. */
const METHODS = "GET, HEAD";

/** Paths exempt from ALLOWED_HOSTS: probes connect by IP address, and the replies hold nothing confidential. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Creates the handler of all plain HTTP requests. Errors for unsupported requests list what is supported. */
export function createHttpRouter(options: HttpRouterOptions): (res: HttpResponse, req: HttpRequest) => void {
  return (res, req) => {
    options.watch.begin("http");
    const path = req.getUrl();
    const method = req.getMethod().toUpperCase();
    const exchange = new HttpExchange(res, method, options.http);
    let cors = "";
    const failed = (error: unknown): HttpReply => {
      options.http.logger.error({ err: error, path }, "HTTP request failed");
      return errorReply(500, "Unexpected server error; it was logged.");
    };
    try {
      const { facts, cors: allowed, refusal } = examine(res, req, method, options);
      cors = allowed;
      const reply = refusal ?? route(facts, options);
      if (reply instanceof Promise)
        exchange.reply(reply.catch(failed).then((finished) => withCors(finished, cors)));
      else exchange.reply(withCors(reply, cors));
    } catch (error) {
      exchange.reply(withCors(failed(error), cors));
    }
    options.watch.end();
  };
}

/** Result of the checks that precede every route. */
interface Examined {
  readonly facts: HttpRequestFacts;
  /** Value of Access-Control-Allow-Origin; empty for none. */
  readonly cors: string;
  readonly refusal: HttpReply | null;
}

function examine(res: HttpResponse, req: HttpRequest, method: string, options: HttpRouterOptions): Examined {
  const host = req.getHeader("host");
  const peer = peerFacts(res, req);
  const { address, accountKey } = options.resolveAddress(peer);
  const hostDecision = options.hostPolicy.check(host);
  const facts: HttpRequestFacts = {
    method,
    path: req.getUrl(),
    // Two different ones match no expected value.
    authorization: peer.authorizations.join(", "),
    ifNoneMatch: req.getHeader("if-none-match"),
    // A proxy on this machine makes every client look local, so forwarded requests do not count. Nor does a request for
    // a foreign host: it may be from a page that reaches this machine through a domain of its own.
    fromLoopback:
      hostDecision.allowed && peer.forwardedFor === "" && (address === "::1" || address.startsWith("127.")),
  };
  if (peer.contradiction !== undefined)
    return { facts, cors: "", refusal: contradictionReply(peer.contradiction) };
  const waitMs = options.connections.requested(accountKey);
  if (waitMs > 0) {
    options.metrics.limitHit("http_requests");
    return { facts, cors: "", refusal: tooManyRequestsReply(waitMs) };
  }
  if (!hostDecision.allowed && !PROBES.has(facts.path))
    return { facts, cors: "", refusal: errorReply(421, hostDecision.message) };
  const origin = options.originPolicy.check({ origin: req.getHeader("origin"), host });
  if (origin.outcome !== "allowed") return { facts, cors: "", refusal: errorReply(403, origin.message) };
  return { facts, cors: origin.cors ?? "", refusal: null };
}

function route(
  facts: HttpRequestFacts,
  { routes, socketPaths }: HttpRouterOptions,
): HttpReply | Promise<HttpReply> {
  const { method, path } = facts;
  if (socketPaths.includes(path)) {
    const message = `${path} is a WebSocket endpoint: connect with a WebSocket client.`;
    return errorReply(426, message, { upgrade: "websocket", connection: "upgrade" });
  }
  const handler = routes.get(path);
  if (handler === undefined) {
    const known = ["/", "/healthz", "/readyz", "/metrics", ...socketPaths].join(", ");
    return errorReply(404, `Nothing is served at this path. Available paths: ${known}.`);
  }
  if (method === "OPTIONS") {
    return { status: 204, headers: { allow: METHODS, "access-control-allow-methods": METHODS }, body: "" };
  }
  if (method !== "GET" && method !== "HEAD") {
    return errorReply(405, `${path} supports ${METHODS}, not ${method}.`, { allow: METHODS });
  }
  return handler(facts);
}

/** Adds the headers that depend on the origin of the request. */
function withCors(reply: HttpReply, cors: string): HttpReply {
  const allowed = cors === "" ? {} : { "access-control-allow-origin": cors };
  return { ...reply, headers: { ...reply.headers, ...allowed, vary: "Origin" } };
}
