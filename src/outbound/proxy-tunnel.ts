import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { ProxyRoute } from "./proxy-routes.ts";

/** Maximum milliseconds until a proxy has opened a tunnel; undici allows a connection the same time. */
const TUNNEL_MS = 10_000;

/** A proxy refused a connection or cannot be reached. The message names it without its credentials. */
export class ProxyError extends Error {
  /** `PROXY_STATUS_<status>`, `PROXY_CLOSED` or `PROXY_UNREACHABLE`. */
  readonly code: string;
  /** Whether the proxy answered, but opens no tunnel to this address or none at all. */
  readonly refusesTunnel: boolean;

  constructor(
    route: ProxyRoute,
    what: string,
    code: string,
    options: { cause?: unknown; refusesTunnel?: boolean },
  ) {
    super(`the proxy ${route.url.host} (${route.setting}) ${what}`, { cause: options.cause });
    this.name = "ProxyError";
    this.code = code;
    this.refusesTunnel = options.refusesTunnel ?? false;
  }
}

/** Value of the `Proxy-Authorization` header; undefined if the URL has no credentials. */
export function proxyAuthorization({ url: { username, password } }: ProxyRoute): string | undefined {
  if (username === "" && password === "") return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A bare "%" in a password is meant literally.
    return part;
  }
}

/**
 * Opens a tunnel with CONNECT.
 *
 * @param authority host and port, such as `api.example.org:443`
 * @param done called once, with the tunnel or the fault
 */
export function openTunnel(
  route: ProxyRoute,
  authority: string,
  done: (...result: [null, Socket] | [ProxyError, null]) => void,
): void {
  const { protocol, hostname, port } = route.url;
  const authorization = proxyAuthorization(route);
  const request = (protocol === "https:" ? httpsRequest : httpRequest)({
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : port,
    method: "CONNECT",
    path: authority,
    headers: { host: authority, ...(authorization && { "proxy-authorization": authorization }) },
    agent: false,
  });
  const timer = setTimeout(
    () => request.destroy(new Error(`no tunnel within ${TUNNEL_MS / 1000} s`)),
    TUNNEL_MS,
  );
  request.once("close", () => clearTimeout(timer));
  let connected = false;
  request.once("socket", (socket) => {
    socket.once(protocol === "https:" ? "secureConnect" : "connect", () => (connected = true));
  });
  request.once("connect", ({ statusCode = 0 }: IncomingMessage, socket: Socket) => {
    clearTimeout(timer);
    if (statusCode >= 200 && statusCode < 300) return done(null, socket);
    socket.destroy();
    done(refusal(route, statusCode), null);
  });
  request.once("error", (cause: NodeJS.ErrnoException) => {
    done(connected && cause.code === "ECONNRESET" ? closed(route, cause) : unreachable(route, cause), null);
  });
  request.end();
}

function closed(route: ProxyRoute, cause: Error): ProxyError {
  return new ProxyError(route, "closed the connection", "PROXY_CLOSED", { cause, refusesTunnel: true });
}

function unreachable(route: ProxyRoute, cause: NodeJS.ErrnoException): ProxyError {
  const what = `cannot be reached: ${cause.code ?? cause.message}`;
  return new ProxyError(route, what, "PROXY_UNREACHABLE", { cause });
}

function refusal(route: ProxyRoute, status: number): ProxyError {
  const advice = status === 407 ? "; check its user name and password" : "";
  const what = `refused the connection with status ${status}${advice}`;
  // With other codes from 500 the proxy could not reach the address. 501: it does not support tunnels.
  const refusesTunnel = (status < 500 && status !== 407) || status === 501;
  return new ProxyError(route, what, `PROXY_STATUS_${status}`, { refusesTunnel });
}
