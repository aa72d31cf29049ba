import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

export interface HttpProxyOptions {
  /** Port on 127.0.0.1 that every address leads to, so that tests can use names that do not resolve. */
  readonly port: number;
  /** Response to CONNECT: a tunnel, the given status, or `cut` for a closed connection. Default: a tunnel. */
  readonly tunnels?: boolean | number | "cut";
  /** Whether requests that contain a whole URL are forwarded. Default false: they get 405. */
  readonly forwards?: boolean;
  /** Required value of `Proxy-Authorization`; without it requests get 407. */
  readonly authorization?: string;
}

export interface HttpProxy {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** First lines of all requests so far, such as `CONNECT api.example.test:443`. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

/** Starts an HTTP proxy on a free port of the loopback address. */
export async function startHttpProxy(options: HttpProxyOptions): Promise<HttpProxy> {
  const { port, tunnels = true, forwards = false, authorization } = options;
  const seen: string[] = [];
  const open = new Set<Socket>();
  const isAllowed = ({ headers }: IncomingMessage): boolean =>
    authorization === undefined || headers["proxy-authorization"] === authorization;
  const server = createServer((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    if (!isAllowed(incoming)) response.writeHead(407).end();
    else if (forwards) forward(incoming, response, port);
    else response.writeHead(405).end();
  });
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => undefined);
  });
  server.on("connect", (incoming, socket: Socket) => {
    seen.push(`CONNECT ${incoming.url}`);
    const status = isAllowed(incoming) ? tunnels : 407;
    if (status === "cut") socket.destroy();
    else if (status !== true) socket.end(`HTTP/1.1 ${Number(status) || 405} No\r\n\r\n`);
    else {
      const upstream = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("close", () => upstream.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function forward(incoming: IncomingMessage, response: ServerResponse, port: number): void {
  const { pathname, search } = new URL(incoming.url ?? "");
  const { method, headers } = incoming;
  const upstream = request(
    { host: "127.0.0.1", port, method, headers, path: `${pathname}${search}` },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  upstream.on("error", () => response.destroy());
  incoming.pipe(upstream);
}
