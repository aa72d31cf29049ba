import uWS, { type WebSocket } from "uWebSockets.js";
import { describe, expect, it } from "vitest";
import { checkTextOutput } from "../../../../src/transport/uws/self-test.ts";
import type { SocketLibrary } from "../../../../src/transport/uws/socket-library.ts";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";

/** Passes strings to the library unchanged, as a transport without its own encoder would. */
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

/** The fault of some binaries: a string without characters above U+00FF is sent as Latin-1. */
function write(output: Output, faulty: boolean | undefined): Uint8Array {
  if (typeof output !== "string") return output;
  return Buffer.from(output, faulty === true && !/[^\0-\xff]/.test(output) ? "latin1" : "utf8");
}

/** The library with the fault of {@link write} in some kinds of output. */
function faultyLibrary(outputs: {
  readonly frames?: true;
  readonly reasons?: true;
  readonly bodies?: true;
}): SocketLibrary {
  const patch = (ws: WebSocket<unknown>): WebSocket<unknown> =>
    Object.assign(Object.create(ws), {
      send: (text: Output) => ws.send(write(text, outputs.frames)),
      end: (code: number, reason: Output) => ws.end(code, write(reason, outputs.reasons)),
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
              onAborted: (handler: () => void) => res.onAborted(handler),
              tryEnd: (body: Output) => (res.end(write(body, outputs.bodies)), [true, true]),
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

describe("the self-test of text output", () => {
  it("passes with the installed library", () => expect(checkTextOutput(uWS)).resolves.toBeUndefined());

  it("passes with a library that garbles strings, because the transport passes bytes", () =>
    expect(
      checkTextOutput(faultyLibrary({ frames: true, reasons: true, bodies: true })),
    ).resolves.toBeUndefined());

  it.each([
    ["frames", { frames: true }, "WebSocket frames)"],
    ["close reasons", { reasons: true }, "WebSocket frames)"],
    ["bodies", { bodies: true }, "HTTP bodies)"],
    ["everything", { frames: true, reasons: true, bodies: true }, "WebSocket frames and HTTP bodies)"],
  ] as const)(
    "fails with an error of one line if there is no encoder and the library garbles %s",
    async (_name, outputs, expected) => {
      const fault = await checkTextOutput(faultyLibrary(outputs), new NoEncoder()).catch(
        (error: Error) => error.message,
      );
      expect(fault).toContain(`does not send text as UTF-8 (${expected}`);
      expect(fault).not.toContain("\n");
    },
  );

  it(`${GARBLING_ABIS.includes(process.versions.modules) ? "fails" : "passes"} without an encoder on the real binary of this Node`, async () => {
    const check = checkTextOutput(uWS, new NoEncoder());
    if (GARBLING_ABIS.includes(process.versions.modules)) await expect(check).rejects.toThrow("UTF-8");
    else await expect(check).resolves.toBeUndefined();
  });
});
