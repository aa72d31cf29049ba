import { expect, it } from "vitest";
import { probeEndpoint } from "../../../../web/client/probe-endpoint.ts";
import { createFakeWorld, URL_OF_CHAT, welcomeFrame } from "./fake-environment.ts";

const endpoint = { url: URL_OF_CHAT, token: "a.b.c" };

it("accepts a token once the server welcomes it, and closes the socket", async () => {
  const world = createFakeWorld();
  const result = probeEndpoint(endpoint, world.environment);
  expect(world.socket.protocols).toEqual(["chat.v1", "bearer.a.b.c"]);
  world.socket.deliver(welcomeFrame("another"));
  expect(await result).toEqual({ accepted: true });
  expect(world.socket.closedByClient).toBe(true);
  expect(world.socket.sent).toEqual([]);
  expect(world.secret).toBeNull();
});

it.each([4401, 4408, 1013, 1006])("reports a close with %i", async (code) => {
  const world = createFakeWorld();
  const result = probeEndpoint(endpoint, world.environment);
  world.socket.end(code, "why");
  expect(await result).toEqual({ accepted: false, code, reason: "why" });
});

it("reports a server that sends nothing as unreachable", async () => {
  const world = createFakeWorld();
  const result = probeEndpoint(endpoint, world.environment);
  await world.clock.pass(15_000);
  expect(await result).toEqual({ accepted: false, code: 1006, reason: "" });
  expect(world.socket.closedByClient).toBe(true);
});
