import { createProxyRoutes, type ProxySettings } from "./proxy-routes.ts";

type Fetch = typeof globalThis.fetch;

/**
 * Creates the `fetch` that honours the proxy settings; undefined if no proxy is set, which leaves the one of Node.js in
 * use. Loads undici only with a proxy: the `fetch` of Node.js accepts the dispatchers of its own undici only.
 *
 * The `fetch` rejects like that of Node.js, with a ProxyError as the cause of a fault of the proxy.
 */
export async function createProxiedFetch(settings: ProxySettings): Promise<Fetch | undefined> {
  const routes = createProxyRoutes(settings);
  if (routes === null) return undefined;
  const [{ fetch }, { RoutedDispatcher }] = await Promise.all([
    import("undici"),
    import("./routed-dispatcher.ts"),
  ]);
  // Types and values of undici and of Node.js are the same except for their names.
  const send = fetch as unknown as (input: unknown, init: unknown) => Promise<Response>;
  const tunnel = new RoutedDispatcher(routes, "tunnel");
  const forward = new RoutedDispatcher(routes, "forward");
  return async (input, init) => {
    try {
      return await send(input, { ...init, dispatcher: tunnel });
    } catch (error) {
      // Many proxies open tunnels to port 443 only. Nothing has reached the server yet, so the request can be repeated.
      if (!isPlain(input) || !refusesTunnel(error)) throw error;
      return send(input, { ...init, dispatcher: forward });
    }
  };
}

function isPlain(input: Parameters<Fetch>[0]): boolean {
  return new URL(input instanceof Request ? input.url : input).protocol === "http:";
}

function refusesTunnel(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return (
    typeof cause === "object" && cause !== null && "refusesTunnel" in cause && cause.refusesTunnel === true
  );
}
