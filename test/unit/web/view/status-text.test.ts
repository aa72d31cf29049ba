import { describe, expect, it } from "vitest";
import { closeCodes } from "../../../../src/protocol/close-codes.ts";
import type { WelcomeFrame } from "../../../../src/protocol/server-frames.ts";
import {
  describeConnection,
  describeEmptyAnswer,
  describeFacts,
  describePrivacy,
  describeQueue,
  describeTokenRefusal,
  readToken,
} from "../../../../web/view/status-text.ts";
import { welcomeFrame } from "../client/fake-environment.ts";

describe("describeConnection", () => {
  it("counts down to the next attempt and offers to connect at once", () => {
    const state = { phase: "waiting", retryAt: 5_000, attempt: 1, code: 1012, reason: "" } as const;
    expect(describeConnection(state, 1_900)).toEqual({
      tone: "busy",
      label: "Reconnecting…",
      detail: "The server is restarting. Trying again in 4 s.",
      action: "connect",
    });
    expect(describeConnection(state, 4_800)).toMatchObject({
      detail: "The server is restarting. Trying again…",
      action: "none",
    });
  });

  it("describes each refusal and offers an action", () => {
    for (const { code, reconnect } of Object.values(closeCodes)) {
      const needs = reconnect.includes("token") ? "token" : "action";
      const text = describeConnection({ phase: "stopped", code, reason: "Not today", needs }, 0);
      expect(text.tone).toBe("bad");
      expect(text.detail).toMatch(/^[A-Z].*\.$/);
      expect(text.action).toBe(needs === "token" ? "token" : "connect");
    }
    const refused = describeConnection(
      { phase: "stopped", code: 4401, reason: "Set JWT_SECRET", needs: "token" },
      0,
    );
    expect(refused.detail).toBe("You need a valid token to connect. Reason: Set JWT_SECRET.");
  });
});

describe("describeTokenRefusal", () => {
  it.each([
    [4408, "This token has expired."],
    [4401, "You need a valid token to connect. Reason: why."],
    [1013, "The server is busy right now."],
    [1006, "The server could not be reached."],
  ])("names the cause of a close with %i, and that nothing was lost", (code, cause) => {
    const kept = "Nothing has changed: your identity and this conversation are kept.";
    expect(describeTokenRefusal(code, "why")).toBe(`${cause} ${kept}`);
  });
});

describe("describePrivacy", () => {
  const welcome = welcomeFrame() as WelcomeFrame;

  it("names the user's computer only for a loopback host", () => {
    for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"]) {
      expect(describePrivacy(welcome, host)).toBe("Your text stays on this computer");
    }
    for (const host of ["chat.example", "127.evil.example.org.", "localhost.example", "10.0.0.1"]) {
      expect(describePrivacy(welcome, host)).toBe("Your text stays on the server");
    }
  });

  it("names the service that text may be sent to", () => {
    const leaving = { ...welcome, text_may_leave: true, provider: "openai" };
    expect(describePrivacy(leaving, "localhost")).toBe(
      "Your text may go to an outside AI service (now: openai)",
    );
  });
});

describe("the lines of an answer", () => {
  it("show the position in the queue, and the waiting time if it is known", () => {
    const frame = { type: "queued", id: "1", answer: "a", position: 3 } as const;
    expect(describeQueue({ ...frame, reason: "engine" })).toBe("Position 3 in the queue");
    expect(describeQueue({ ...frame, reason: "engine", eta_ms: 4_200 })).toBe(
      "Position 3 in the queue, about 4 s",
    );
    expect(describeQueue({ ...frame, reason: "conversation" })).toBe("Waiting for the previous answer");
  });

  it("show the speed only for answers long enough to measure it", () => {
    const usage = { prompt_tokens: 5, completion_tokens: 101, cached_tokens: 0 };
    const timings = { queue_ms: 0, ttft_ms: 300, total_ms: 2_300 };
    const facts = { finishReason: "length", usage, timings, model: "tiny" } as const;
    expect(describeFacts(facts)).toEqual([
      "Stopped at the length limit",
      "tiny",
      "101 tokens",
      "first word after 300 ms",
      "50 tokens/s",
    ]);
    expect(describeFacts({ finishReason: "stop" })).toEqual([]);
    expect(describeFacts({ finishReason: "cancelled", usage: { ...usage, completion_tokens: 1 } })).toEqual([
      "Stopped",
      "1 token",
    ]);
  });
});

describe("describeEmptyAnswer", () => {
  const turn = { kind: "turn", id: "i", conversation: "c", text: "Hi", status: "done", content: "" } as const;

  it("says in plain words that an answer has no text, and that the message is kept", () => {
    for (const empty of [
      turn,
      { ...turn, content: " \n" },
      { ...turn, facts: { finishReason: "length" } } as const,
    ]) {
      expect(describeEmptyAnswer(empty)).toMatch(/without writing anything.*message is kept/);
    }
  });

  it("says that the reasoning reached the length limit", () => {
    const reasoned = { ...turn, reasoning: "Hm", facts: { finishReason: "length" } } as const;
    expect(describeEmptyAnswer(reasoned)).toMatch(/still thinking.*message is kept/);
  });

  it("says nothing of other turns", () => {
    for (const other of [
      { ...turn, content: "text" },
      { ...turn, status: "pending" },
      { ...turn, status: "failed" },
      { ...turn, command: "clear" },
      { ...turn, facts: { finishReason: "abandoned" } },
    ] as const) {
      expect(describeEmptyAnswer(other)).toBeUndefined();
    }
  });
});

describe("readToken", () => {
  const write = (claims: object): string =>
    `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

  it("returns the subject and the expiry time", () => {
    expect(readToken(write({ sub: "Zoë 東", exp: 1_700_000_000 }))).toEqual({
      subject: "Zoë 東",
      expires: new Date(1_700_000_000_000),
    });
  });

  it.each(["", "a", "a.b.c", "a.!!.c", write({}), write({ sub: 5 })])(
    "returns undefined for the unreadable token %j",
    (token) => expect(readToken(token)).toBeUndefined(),
  );
});
