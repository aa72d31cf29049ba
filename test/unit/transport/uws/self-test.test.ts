import uWS, { type WebSocket } from "uWebSockets.js";
import { describe, expect, it } from "vitest";
import { checkTextOutput } from "../../../../src/transport/uws/self-test.ts";
import type { SocketLibrary } from "../../../../src/transport/uws/socket-library.ts";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";

/** Hands strings to the library as they are, as a transport without an encoder of its own would. */
class NoEncoder extends WireEncoder {
  override encode(text: string | Uint8Array, head?: Uint8Array): Uint8Array {
    const before = head === undefined ? "" : Buffer.from(head).toString();
    return (before + Buffer.from(text as string).toString()) as unknown as Uint8Array;
  }
  override closeReason(text: string): Uint8Array {
    return text as unknown as Uint8Array;
  }
}

type Output = string | Uint8Array;

/** The fault of some binaries: a string without characters above U+00FF leaves as Latin-1. */
function write(output: Output, faulty: boolean | undefined): Uint8Array {
  if (typeof output !== "string") return output;
  return Buffer.from(output, faulty === true && !/[^\0-\xff]/.test(output) ? "latin1" : "utf8");
}

/** The library with the fault of {@link write} on some of its ways out. */
function faultyLibrary(ways: {
  readonly frames?: true;
  readonly reasons?: true;
  readonly bodies?: true;
}): SocketLibrary {
  const patch = (ws: WebSocket<unknown>): WebSocket<unknown> =>
    Object.assign(Object.create(ws), {
      send: (text: Output) => ws.send(write(text, ways.frames)),
      end: (code: number, reason: Output) => ws.end(code, write(reason, ways.reasons)),
      getBufferedAmount: () => ws.getBufferedAmount(),
    });
  return {
    ...uWS,
    App() {
      const app = uWS.App();
      return Object.assign(Object.create(app) as typeof app, {
        ws: (path: string, behavior: { open(ws: WebSocket<unknown>): void }) =>
          app.ws(path, { open: (ws) => behavior.open(patch(ws)) }),
        any: (path: string, handler: (res: object) => void) =>
          app.any(path, (res) =>
            handler({
              writeStatus: (status: string) => res.writeStatus(status),
              writeHeader: (name: string, value: string) => res.writeHeader(name, value),
              end: (body: Output) => res.end(write(body, ways.bodies)),
            }),
          ),
        listen: app.listen.bind(app),
        close: () => app.close(),
      });
    },
  };
}

/** ABI numbers of Node whose packaged binary garbles strings. */
const GARBLING_ABIS = ["137", "141"];

describe("the check of the text that leaves", () => {
  it("passes with the installed library", () => expect(checkTextOutput(uWS)).resolves.toBeUndefined());

  it("passes with a library that garbles strings, since it gets bytes", () =>
    expect(
      checkTextOutput(faultyLibrary({ frames: true, reasons: true, bodies: true })),
    ).resolves.toBeUndefined());

  it.each([
    ["frames", { frames: true }, "WebSocket frames)"],
    ["close reasons", { reasons: true }, "WebSocket frames)"],
    ["bodies", { bodies: true }, "HTTP bodies)"],
    ["everything", { frames: true, reasons: true, bodies: true }, "WebSocket frames and HTTP bodies)"],
  ] as const)(
    "fails in one clear line without an encoder where the library garbles %s",
    async (_name, ways, told) => {
      const fault = await checkTextOutput(faultyLibrary(ways), new NoEncoder()).catch(
        (error: Error) => error.message,
      );
      expect(fault).toContain(`does not send text as UTF-8 (${told}`);
      expect(fault).not.toContain("\n");
    },
  );

  it(`without an encoder ${GARBLING_ABIS.includes(process.versions.modules) ? "fails" : "passes"} with the real binary of this Node`, async () => {
    const check = checkTextOutput(uWS, new NoEncoder());
    if (GARBLING_ABIS.includes(process.versions.modules)) await expect(check).rejects.toThrow("UTF-8");
    else await expect(check).resolves.toBeUndefined();
  });
});
