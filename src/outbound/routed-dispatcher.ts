import { Agent, buildConnector, Dispatcher } from "undici";
import { openTunnel, proxyAuthorization } from "./proxy-tunnel.ts";
import type { ProxyRoute, ProxyRoutes } from "./proxy-routes.ts";

/** Milliseconds without traffic after which the system probes an idle connection; the value of undici. */
const TCP_KEEPALIVE_MS = 60_000;

/** How http:// addresses are reached through a proxy: by a tunnel, or by requests that contain the whole URL. */
export type PlainMode = "tunnel" | "forward";

/** Sends each request through the proxy of its address, redirected requests included. */
export class RoutedDispatcher extends Dispatcher {
  readonly #routes: ProxyRoutes;
  readonly #plainMode: PlainMode;
  /** Connections without a proxy, and those to a proxy that forwards. */
  readonly #direct = new Agent();
  /** Connections through tunnels, by the URL of the proxy: at most two, one for each setting. */
  readonly #tunnels = new Map<string, Agent>();

  constructor(routes: ProxyRoutes, plainMode: PlainMode) {
    super();
    this.#routes = routes;
    this.#plainMode = plainMode;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandlers): boolean {
    const target = new URL(String(options.origin));
    const route = this.#routes(target);
    if (route === null) return this.#direct.dispatch(options, handler);
    if (target.protocol === "https:" || this.#plainMode === "tunnel") {
      return this.#tunnelsOf(route).dispatch(options, handler);
    }
    const authorization = proxyAuthorization(route);
    const headers = {
      ...(options.headers as Record<string, string> | undefined),
      host: target.host,
      ...(authorization && { "proxy-authorization": authorization }),
    };
    const path = `${target.origin}${options.path}`;
    return this.#direct.dispatch({ ...options, origin: route.url.origin, path, headers }, handler);
  }

  override async close(): Promise<void> {
    await Promise.all([this.#direct, ...this.#tunnels.values()].map((agent) => agent.close()));
  }

  #tunnelsOf(route: ProxyRoute): Agent {
    const key = route.url.href;
    let agent = this.#tunnels.get(key);
    if (agent === undefined) {
      agent = new Agent({ connect: tunnelConnector(route) });
      this.#tunnels.set(key, agent);
    }
    return agent;
  }
}

/** Connects to an address through a tunnel, with TLS inside it for https:// addresses. */
function tunnelConnector(route: ProxyRoute): buildConnector.connector {
  const addTls = buildConnector({});
  return (options, callback) => {
    const { protocol, hostname, port } = options;
    const host = hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname;
    const authority = `${host}:${port || (protocol === "https:" ? 443 : 80)}`;
    openTunnel(route, authority, (error, socket) => {
      if (error !== null) return callback(error, null);
      if (protocol === "https:") return addTls({ ...options, httpSocket: socket }, callback);
      callback(null, socket.setNoDelay(true).setKeepAlive(true, TCP_KEEPALIVE_MS));
    });
  };
}
