import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

describe("32 concurrent requests of one user", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      MODEL_PATH: await tinyModel(),
      LOCAL_SLOTS: "4",
      MAX_ACTIVE_ANSWERS_PER_CLIENT: "32",
      MAX_OUTPUT_TOKENS: "400",
      JWT_SECRET,
    });
  });

  afterAll(() => service.stop());

  const connect = (sub: string, weight?: number) =>
    ChatSocket.greeted(`${service.url}/ws/chat/auth?token=${tokenOf(sub, 600, weight)}&stream=true`);

  it("do not delay other users until all of them are done, and all get whole answers", async () => {
    const greedy = await connect("greedy");
    const order: string[] = [];
    const ask = async (socket: ChatSocket, name: string, id: string): Promise<Frame> => {
      const end = await socket.ask("go on for long", { id, conversation: id, seed: 1 });
      order.push(name);
      return end;
    };
    const many = Array.from({ length: 32 }, (_, index) => ask(greedy, "greedy", `g${index}`));
    await greedy.next(({ type }) => type === "token");
    const modest = await Promise.all(["ann", "ben"].map((name) => connect(name)));
    const ends = await Promise.all([...many, ...modest.map((socket) => ask(socket, "modest", "m"))]);
    expect(ends.map(({ type }) => type)).toEqual(Array.from({ length: 34 }, () => "message"));
    // Two users with one request each are served long before the other user's 32 requests are done.
    expect(order.lastIndexOf("modest")).toBeLessThan(20);
    ends.forEach((end, index) => {
      const socket = index < 32 ? greedy : (modest[index - 32] as ChatSocket);
      expect(socket.streamed(end["answer"])).toBe(end["content"]);
    });
    const places = greedy.frames.filter(({ type, reason }) => type === "queued" && reason === "engine");
    expect(places.length).toBeGreaterThan(0);
    expect(places.every(({ position }) => (position as number) >= 1 && (position as number) <= 34)).toBe(
      true,
    );
    await Promise.all([greedy, ...modest].map((socket) => socket.close()));
  });
});
