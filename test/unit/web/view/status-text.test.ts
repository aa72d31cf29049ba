import { describe, expect, it } from "vitest";
import { closeCodes } from "../../../../src/protocol/close-codes.ts";
import type { WelcomeFrame } from "../../../../src/protocol/server-frames.ts";
import {
  describeConnection,
  describeFacts,
  describePrivacy,
  describeQueue,
  readToken,
} from "../../../../web/view/status-text.ts";
import { welcomeFrame } from "../client/fake-environment.ts";

describe("the connection in words", () => {
  it("counts down to the next attempt and offers to go at once", () => {
    const state = { phase: "waiting", retryAt: 5_000, attempt: 1, code: 1012, reason: "" } as const;
    expect(describeConnection(state, 1_900)).toEqual({
      tone: "busy",
      label: "Reconnecting…",
      detail: "The server restarts. Trying again in 4 s.",
      action: "connect",
    });
    expect(describeConnection(state, 4_800)).toMatchObject({
      detail: "The server restarts. Trying again…",
      action: "none",
    });
  });

  it("says for each refusal what happened and what to do", () => {
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
    expect(refused.detail).toBe("The server asks for a valid token. The server says: Set JWT_SECRET.");
  });
});

describe("privacy in words", () => {
  const welcome = welcomeFrame() as WelcomeFrame;

  it("calls the machine the reader's own only on the loopback", () => {
    for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"]) {
      expect(describePrivacy(welcome, host)).toBe("Your text stays on this machine");
    }
    for (const host of ["chat.example", "127.evil.example.org.", "localhost.example", "10.0.0.1"]) {
      expect(describePrivacy(welcome, host)).toBe("Your text stays on the server’s machine");
    }
  });

  it("says when text may leave", () => {
    const leaving = { ...welcome, text_may_leave: true, provider: "openai" };
    expect(describePrivacy(leaving, "localhost")).toBe("Your text may leave this machine (openai)");
  });
});

describe("waiting and facts in words", () => {
  it("tells the place in the queue, and how long where it is known", () => {
    const frame = { type: "queued", id: "1", answer: "a", position: 3 } as const;
    expect(describeQueue({ ...frame, reason: "engine" })).toBe("Place 3 in the queue");
    expect(describeQueue({ ...frame, reason: "engine", eta_ms: 4_200 })).toBe(
      "Place 3 in the queue, about 4 s",
    );
    expect(describeQueue({ ...frame, reason: "conversation" })).toBe("Waits for the answer before it");
  });

  it("shows speed only where it means something", () => {
    const usage = { prompt_tokens: 5, completion_tokens: 101, cached_tokens: 0 };
    const timings = { queue_ms: 0, ttft_ms: 300, total_ms: 2_300 };
    const facts = { finishReason: "length", usage, timings, model: "tiny" } as const;
    expect(describeFacts(facts)).toEqual([
      "Cut at the output limit",
      "tiny",
      "101 tokens",
      "first word 300 ms",
      "50 tokens/s",
    ]);
    expect(describeFacts({ finishReason: "stop" })).toEqual([]);
    expect(describeFacts({ finishReason: "cancelled", usage: { ...usage, completion_tokens: 1 } })).toEqual([
      "Stopped",
      "1 token",
    ]);
  });
});

describe("tokens", () => {
  const write = (claims: object): string =>
    `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

  it("tell whom they are for", () => {
    expect(readToken(write({ sub: "Zoë 東", exp: 1_700_000_000 }))).toEqual({
      subject: "Zoë 東",
      expires: new Date(1_700_000_000_000),
    });
  });

  it.each(["", "a", "a.b.c", "a.!!.c", write({}), write({ sub: 5 })])(
    "that cannot be read (%j) tell nothing",
    (token) => expect(readToken(token)).toBeUndefined(),
  );
});
