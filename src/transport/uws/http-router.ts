import { setImmediate as nextTurn } from "node:timers/promises";
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import type { AddressResolver } from "../../auth/client-address.ts";
import type { HostPolicy } from "../../auth/host-policy.ts";
import type { OriginPolicy } from "../../auth/origin-policy.ts";
import type { Logger } from "../../core/logger.ts";
import {
  contradictionReply,
  errorReply,
  type HttpReply,
  type HttpRequestFacts,
  type HttpRoute,
} from "./http-reply.ts";
import { peerFacts } from "./peer-facts.ts";
import type { WireEncoder } from "./wire-encoder.ts";
import { writeReply } from "./write-reply.ts";

/** Routes and checks of plain HTTP requests. */
export interface HttpRouterOptions {
  /** Routes by path, for GET and HEAD; other methods are not supported. */
  readonly routes: ReadonlyMap<string, HttpRoute>;
  /** Paths that are WebSocket endpoints. */
  readonly socketPaths: readonly string[];
  readonly originPolicy: OriginPolicy;
  readonly hostPolicy: HostPolicy;
  readonly resolveAddress: AddressResolver;
  readonly encoder: WireEncoder;
  readonly logger: Logger;
}

/** Supported methods, as a value of the Allow header. */
const METHODS = "GET, HEAD";

/** Paths exempt from ALLOWED_HOSTS: probes connect by IP address, and the replies hold nothing confidential. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Creates the handler of all plain HTTP requests. Errors for unsupported requests list what is supported. */
export function createHttpRouter(options: HttpRouterOptions): (res: HttpResponse, req: HttpRequest) => void {
  return (res, req) => {
    let aborted = false;
    res.onAborted(() => {
      aborted = true;
    });
    const { facts, cors, refusal } = examine(res, req, options);
    const failed = (error: unknown): HttpReply => {
      options.logger.error({ err: error, path: facts.path }, "HTTP request failed");
      return errorReply(500, "Unexpected server error; it was logged.");
    };
    const write = (reply: HttpReply): void => {
      try {
        writeReply(res, withCors(reply, cors), facts.method, options.encoder);
      } catch (error) {
        writeReply(res, failed(error), facts.method, options.encoder);
      }
    };
    const answer = (): HttpReply | Promise<HttpReply> => {
      // The library ends a connection on which a request follows before the reply. So nothing behind a request that has
      // to close its connection is ever served, even if it came in the same packet.
      if (refusal?.closes === true) return nextTurn().then(() => refusal);
      try {
        return refusal ?? route(facts, options);
      } catch (error) {
        return failed(error);
      }
    };
    const reply = answer();
    if (!(reply instanceof Promise)) {
      write(reply);
      return;
    }
    reply
      .catch(failed)
      .then((finished) => {
        if (!aborted) res.cork(() => write(finished));
      })
      .catch((error: unknown) =>
        options.logger.error({ err: error, path: facts.path }, "writing an HTTP reply failed"),
      );
  };
}

/** Result of the checks that precede every route. */
interface Examined {
  readonly facts: HttpRequestFacts;
  /** Value of Access-Control-Allow-Origin; empty for none. */
  readonly cors: string;
  readonly refusal: HttpReply | null;
}

function examine(res: HttpResponse, req: HttpRequest, options: HttpRouterOptions): Examined {
  const host = req.getHeader("host");
  const peer = peerFacts(res, req);
  const { address } = options.resolveAddress(peer);
  const facts: HttpRequestFacts = {
    method: req.getMethod().toUpperCase(),
    path: req.getUrl(),
    // Two different ones match no expected value.
    authorization: peer.authorizations.join(", "),
    ifNoneMatch: req.getHeader("if-none-match"),
    // A proxy on this machine makes every client look local, so forwarded requests do not count.
    fromLoopback: peer.forwardedFor === "" && (address === "::1" || address.startsWith("127.")),
  };
  if (peer.contradiction !== undefined)
    return { facts, cors: "", refusal: contradictionReply(peer.contradiction) };
  const hostDecision = options.hostPolicy.check(host);
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
