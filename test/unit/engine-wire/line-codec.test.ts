import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { encodeLine, LineDecoder } from "../../../src/engine-wire/line-codec.ts";
import type { GatewayMessage } from "../../../src/engine-wire/requests.ts";

describe("LineDecoder", () => {
  it("decodes every message for any split of the stream", () => {
    const message = fc.record({
      type: fc.constant("count" as const),
      id: fc.nat(),
      request: fc.record({
        text: fc.string({ unit: "binary" }),
        client: fc.constant("c"),
        accountKey: fc.constant("sub:c"),
        authenticated: fc.boolean(),
      }),
    });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (messages, cuts) => {
          const decoder = new LineDecoder<GatewayMessage>();
          let rest = messages.map(encodeLine).join("");
          const received: GatewayMessage[] = [];
          for (const cut of cuts) {
            received.push(...decoder.push(rest.slice(0, cut)));
            rest = rest.slice(cut);
          }
          received.push(...decoder.push(rest));
          expect(received).toEqual(messages);
        },
      ),
    );
  });

  it("preserves new lines and lone surrogates inside a message", () => {
    const message: GatewayMessage = {
      type: "count",
      id: 1,
      request: { text: "a\nb\u2028c\ud800", client: "c", accountKey: "sub:c", authenticated: true },
    };
    expect(new LineDecoder<GatewayMessage>().push(encodeLine(message))).toEqual([message]);
  });

  it("refuses a line over the limit before its end has arrived", () => {
    const decoder = new LineDecoder(10);
    expect(decoder.push("123456")).toEqual([]);
    expect(() => decoder.push("789012")).toThrow(/over/);
    expect(() => new LineDecoder(10).push(`"${"x".repeat(20)}"\n`)).toThrow(/over the limit/);
  });

  it("refuses a line that is not JSON", () => {
    expect(() => new LineDecoder().push("hello\n")).toThrow(SyntaxError);
  });
});
