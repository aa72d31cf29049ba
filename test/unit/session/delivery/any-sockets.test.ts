import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { sessionBench, type TestClient } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

type Step =
  | { readonly say: string }
  | { readonly block: boolean }
  | { readonly drain: true }
  | { readonly ack: number }
  | { readonly cut: number };

const chunk = fc.string({
  unit: fc.constantFrom("a", "é", "€", "😀", "👩‍👧", "\0", "\n", '"', "long ".repeat(300)),
  minLength: 1,
  maxLength: 6,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: chunk.map((say) => ({ say })) },
  { weight: 2, arbitrary: fc.boolean().map((block) => ({ block })) },
  { weight: 2, arbitrary: fc.constant({ drain: true as const }) },
  { weight: 2, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }).map((ack) => ({ ack })) },
  { weight: 1, arbitrary: fc.nat(3).map((cut) => ({ cut })) },
);

/** Joins the text of an answer over all sockets of its client. */
class Reader {
  text = Buffer.alloc(0);

  take(client: TestClient): void {
    for (const frame of client.take()) {
      if (frame["type"] === "error") throw new Error(JSON.stringify(frame));
      if (frame["type"] !== "token") continue;
      const content = Buffer.from(frame["content"] as string);
      const [from, to] = [this.text.length, this.text.length + content.length];
      if (frame["from"] !== from || frame["to"] !== to) {
        throw new Error(`expected ${from} to ${to}, got ${String(frame["from"])} to ${String(frame["to"])}`);
      }
      this.text = Buffer.concat([this.text, content]);
    }
  }
}

describe("a client with any sequence of back pressure, acks and reconnects", () => {
  it("receives every byte exactly once, and never more than its credit beyond its last ack", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const credit = 2000;
        const bench = sessionBench({ maxUnackedBytes: credit });
        let client = bench.connect({ streaming: true });
        const { secret } = client;
        await client.send({ message: "Hi", id: "i", conversation: "c" });
        bench.provider.call.start().say("begin ");
        await settle();
        const answer = String(client.socket.framesOf("token")[0]?.["answer"]);
        const reader = new Reader();
        let whole = "begin ";
        let acked = -1;
        for (const each of steps) {
          if ("say" in each) {
            whole += each.say;
            bench.provider.call.say(each.say);
            await settle();
          } else if ("block" in each) {
            client.socket.onSend = () => (each.block ? "queued" : "sent");
          } else if ("drain" in each) {
            client.drain();
            await settle();
          } else if ("ack" in each) {
            reader.take(client);
            const before = reader.text.length;
            acked = Math.max(acked, Math.floor(each.ack * before));
            await client.send({ type: "ack", answer, to: acked });
            reader.take(client);
            expect(reader.text.length).toBeLessThanOrEqual(Math.max(acked + credit, before));
          } else {
            // The last frames may be lost with the connection; the client resumes before them.
            const lost = client.socket.texts.length > each.cut ? each.cut : 0;
            if (lost > 0) client.socket.texts.splice(-lost);
            reader.take(client);
            client.socket.vanish();
            client = bench.connect({ streaming: true });
            client.take();
            acked = -1;
            await client.send({
              type: "resume",
              session: secret,
              answers: [{ answer, from: reader.text.length }],
            });
          }
        }
        client.socket.onSend = () => "sent";
        bench.provider.call.finish();
        await settle();
        for (let round = 0; round < 100 && client.socket.types.at(-1) !== "message"; round++) {
          client.drain();
          await settle();
          const end = client.socket.frames.at(-1);
          if (end?.["type"] === "message") break;
          reader.take(client);
          await client.send({ type: "ack", answer, to: reader.text.length });
        }
        expect(client.socket.frames.at(-1)).toMatchObject({ type: "message", content: whole });
        reader.take(client);
        expect(reader.text.toString("utf8")).toBe(whole);
        expect(client.socket.breaches).toEqual([]);
        expect(client.session.busy).toBe(false);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
