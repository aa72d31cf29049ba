import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });
const long = (name: string) => `${name} the people and the water of the way `.repeat(20);

describe("the KV states of a client", () => {
  let service: Service;
  const as = (subject: string) =>
    ChatSocket.greeted(`${service.url}/ws/chat/auth?stream=true&token=${tokenOf(subject, 600)}`);
  const figure = async (name: string): Promise<number> => {
    const metrics = await (await service.http("/metrics")).text();
    return Number(new RegExp(`^chat_engine_${name} (\\S+)$`, "m").exec(metrics)?.[1]);
  };
  /** Cached share of a message's prompt. Only a little of it is system text, which all clients share. */
  const cachedShare = (frame: Frame): number => {
    const usage = frame["usage"] as { prompt_tokens: number; cached_tokens: number };
    return usage.cached_tokens / usage.prompt_tokens;
  };
  let lastId = 0;
  // Each message has its own id, since an id that was answered before would only return that answer.
  const ask = (socket: ChatSocket, text: string, conversation: string) =>
    socket.ask(text, { conversation, id: `ask ${++lastId}` });
  const files = () => {
    const prefix = `chat-engine-kv-${service.enginePid()}-`;
    const [folder] = readdirSync("/dev/shm").filter((name) => name.startsWith(prefix));
    return folder === undefined ? [] : readdirSync(`/dev/shm/${folder}`);
  };
  /** Number of stored states once the idle engine has stored all. Metrics may be one second old. */
  const settled = async (): Promise<number> => {
    let before = -1;
    const unchanged = async (): Promise<boolean> => {
      const [count, reported] = [files().length, await figure("parked_states")];
      const same = count === before && reported === count;
      before = count;
      return same;
    };
    await expect.poll(unchanged, { interval: 1200 }).toBe(true);
    return before;
  };

  /** Number of emptied slots: all deletions minus the stored states deleted since there were `stored` of them. */
  const emptiedSlots = async (stored: number): Promise<number> =>
    (await figure("forgotten_total")) - (stored - (await figure("parked_states")));

  beforeAll(async () => {
    service = await startService({
      MODEL_PATH: await tinyModel(),
      // Two slots, so that each client has one conversation in a slot and one stored.
      LOCAL_SLOTS: "2",
      LOCAL_CONTEXT_SIZE: "1024",
      MAX_OUTPUT_TOKENS: "8",
      SESSION_RETENTION_SECONDS: "1",
      SYSTEM_PROMPT: "Be brief.",
      JWT_SECRET,
    });
  });
  afterAll(() => service.stop());

  it("are deleted from slots and storage when it clears a conversation, while those of other clients stay", async () => {
    const [ada, bob] = [await as("ada"), await as("bob")];
    // Both clients send at once, so that each has a slot.
    for (const conversation of ["stored", "slot"]) {
      const text = (name: string) => long(`${conversation} ${name}`);
      await Promise.all([ask(ada, text("ada"), conversation), ask(bob, text("bob"), conversation)]);
    }
    // One per client, and possibly that of the system text.
    await expect.poll(() => figure("parked_states")).toBeGreaterThanOrEqual(2);
    const stored = await settled();

    await ada.ask("/clear", { conversation: "stored", id: "clear 1" });
    await expect.poll(() => figure("forgotten_total")).toBe(1);
    await expect.poll(() => figure("parked_states")).toBe(stored - 1);
    expect(files()).toHaveLength(stored - 1);
    await ada.ask("/clear", { conversation: "slot", id: "clear 2" });
    await expect.poll(() => emptiedSlots(stored)).toBe(1);

    // The same prompt as the first one: without the deletion all of it would be cached.
    expect(cachedShare(await ask(ada, long("slot ada"), "slot"))).toBeLessThan(0.3);
    expect(cachedShare(await ask(bob, "And?", "slot"))).toBeGreaterThan(0.7);
    expect(cachedShare(await ask(bob, "And?", "stored"))).toBeGreaterThan(0.7);
    await Promise.all([ada.close(), bob.close()]);
  });

  it("are deleted when the session of an anonymous client expires", async () => {
    const [eve, ida] = await Promise.all(
      [1, 2].map(() => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
    );
    if (!eve || !ida) throw new Error("no socket");
    await ask(eve, long("eve"), "a");
    await ask(ida, long("ida"), "a");
    const stored = await settled();
    const before = await emptiedSlots(stored);
    await eve.close();
    await expect.poll(() => emptiedSlots(stored)).toBe(before + 1);
    expect(cachedShare(await ask(ida, "And?", "a"))).toBeGreaterThan(0.7);
    await ida.close();
  });

  it("are deleted when the engine is killed", async () => {
    const socket = await as("kim");
    for (const conversation of ["a", "b", "c"]) await ask(socket, long("kim"), conversation);
    await expect.poll(() => files().length).toBeGreaterThan(0);
    const pid = service.enginePid();
    process.kill(pid as number, "SIGKILL");
    const left = () => readdirSync("/dev/shm").filter((name) => name.startsWith(`chat-engine-kv-${pid}-`));
    await expect.poll(left, { interval: 20 }).toEqual([]);
    await expect.poll(() => service.enginePid()).not.toBe(pid);
    expect(await ask(socket, "Still there?", "a")).toMatchObject({ type: "message" });
    await socket.close();
  });
});
