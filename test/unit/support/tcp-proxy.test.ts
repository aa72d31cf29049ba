import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTcpProxy, type LineFaults, type TcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/service.ts";

/** What a client of the proxy received. */
interface Seen {
  readonly socket: Socket;
  bytes: Buffer;
  /** `end`: closed in order; `reset`: connection reset. */
  readonly ended: Promise<"end" | "reset">;
}

const BLOCK = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));

describe("the TCP proxy", () => {
  let server: Server;
  let accepted: Socket[];
  let proxy: TcpProxy | undefined;

  /** A server that sends the block for each byte it receives. */
  beforeEach(async () => {
    accepted = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(socket);
      socket.on("error", () => {});
      socket.on("data", (asked) => asked.forEach(() => socket.write(BLOCK)));
      socket.on("end", () => socket.end());
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
  });

  afterEach(async () => {
    await proxy?.close();
    for (const socket of accepted) socket.destroy();
    server.close();
  });

  async function line(faults: Partial<LineFaults> = {}): Promise<{ seen: Seen; proxy: TcpProxy }> {
    const started = await startTcpProxy((server.address() as AddressInfo).port, faults);
    proxy = started;
    const socket = connect({ port: started.port, host: "127.0.0.1" });
    const chunks: Buffer[] = [];
    const seen: Seen = {
      socket,
      get bytes() {
        return Buffer.concat(chunks);
      },
      ended: new Promise((resolve) => {
        socket.once("end", () => resolve("end"));
        socket.once("error", () => resolve("reset"));
      }),
    };
    socket.on("data", (chunk) => chunks.push(chunk));
    await once(socket, "connect");
    await until(() => started.lines.length === 1);
    return { seen, proxy: started };
  }

  it("forwards every byte in both directions and counts them", async () => {
    const { seen, proxy: through } = await line();
    seen.socket.write("ab");
    await until(() => seen.bytes.length === 2 * BLOCK.length);
    expect(seen.bytes.equals(Buffer.concat([BLOCK, BLOCK]))).toBe(true);
    expect(through.lines[0]).toMatchObject({ bytesDown: 200_000, bytesUp: 2, closed: false });
  });

  it("forwards the end of one direction after its data", async () => {
    const { seen } = await line();
    seen.socket.end("a");
    expect(await seen.ended).toBe("end");
    expect(seen.bytes.equals(BLOCK)).toBe(true);
  });

  it("closes in order after exactly the configured number of bytes", async () => {
    const { seen, proxy: through } = await line({ cutAfterBytes: 12_345, cutKind: "fin" });
    seen.socket.write("a");
    expect(await seen.ended).toBe("end");
    expect(seen.bytes.equals(BLOCK.subarray(0, 12_345))).toBe(true);
    expect(through.lines[0]?.closed).toBe(true);
  });

  it("cuts a connection with a reset on both ends", async () => {
    const { seen, proxy: through } = await line({ cutKind: "rst" });
    seen.socket.write("a");
    await until(() => seen.bytes.length === BLOCK.length);
    const reset = new Promise((resolve) => accepted[0]?.once("close", resolve));
    through.cutAll();
    expect(await seen.ended).toBe("reset");
    expect(await reset).toBe(true);
  });

  it("limits the data rate", async () => {
    const { seen } = await line({ bytesPerSecond: 100_000 });
    const start = performance.now();
    seen.socket.write("a");
    await until(() => seen.bytes.length >= 20_000);
    expect(seen.bytes.length).toBeLessThan(BLOCK.length);
    // The data arrives earlier only if the rate is too high.
    expect(performance.now() - start).toBeGreaterThan(150);
  });

  it("delays each chunk", async () => {
    const { seen } = await line({ delayMs: 60 });
    const start = performance.now();
    seen.socket.write("a");
    await until(() => seen.bytes.length > 0);
    expect(performance.now() - start).toBeGreaterThan(110);
  });

  it("forwards nothing while frozen, and everything after it is thawed", async () => {
    const { seen, proxy: through } = await line();
    through.lines[0]?.freeze();
    seen.socket.write("a");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(seen.bytes.length).toBe(0);
    expect(seen.socket.destroyed).toBe(false);
    through.lines[0]?.thaw();
    await until(() => seen.bytes.length === BLOCK.length);
    expect(seen.bytes.equals(BLOCK)).toBe(true);
  });

  it("resets new connections while it does not accept any", async () => {
    const { proxy: through } = await line();
    through.accepting = false;
    const refused = connect({ port: through.port, host: "127.0.0.1" });
    const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
    expect(through.lines).toHaveLength(1);
  });
});
