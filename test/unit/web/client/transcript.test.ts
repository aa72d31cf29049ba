import { describe, expect, it } from "vitest";
import {
  packTranscript,
  unpackTranscript,
  type Entry,
  type Turn,
} from "../../../../web/client/transcript.ts";

const turn = (id: string, content = "answer"): Turn => ({
  kind: "turn",
  id,
  conversation: "c",
  text: "question",
  status: "done",
  content,
});

describe("a saved transcript", () => {
  it("is restored unchanged", () => {
    const entries: Entry[] = [
      turn("1", 'a "b" \n\u2028 🙂 </script>'),
      { kind: "divider", text: "Cleared" },
      { ...turn("3"), reasoning: "because" },
      { ...turn("2"), status: "failed", failure: { code: "busy", message: "Wait", retryable: true } },
    ];
    expect(unpackTranscript(packTranscript({ conversation: "c", entries }))).toEqual({
      conversation: "c",
      entries,
    });
  });

  it("keeps only the latest entries when it is too large", () => {
    const entries = Array.from({ length: 500 }, (_, n) =>
      turn(`${n}`, "x".repeat(n % 7 === 0 ? 90_000 : 10)),
    );
    const packed = packTranscript({ conversation: "c", entries });
    expect(packed.length).toBeLessThan(1_010_000);
    const kept = unpackTranscript(packed)?.entries ?? [];
    expect(kept.length).toBeGreaterThan(5);
    expect(kept).toEqual(entries.slice(-kept.length));
  });

  it.each([
    null,
    "",
    "{",
    "null",
    "[]",
    '{"conversation":"c"}',
    '{"conversation":"no blanks","entries":[]}',
    '{"conversation":"c","entries":[{"kind":"turn"}]}',
    '{"conversation":"c","entries":[null]}',
    '{"conversation":"c","entries":[{"kind":"divider","text":1}]}',
  ])("is undefined when the storage contains %j", (text) => expect(unpackTranscript(text)).toBeUndefined());
});
