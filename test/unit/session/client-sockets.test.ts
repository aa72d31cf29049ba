import { describe, expect, it } from "vitest";
import { ClientSockets, type ClientSocket } from "../../../src/session/client-sockets.ts";
import { CountingMetrics } from "../../support/counting-metrics.ts";

function bench(maxPerClient: number, replaceOldest: boolean) {
  const metrics = new CountingMetrics();
  const clients = new ClientSockets({ maxPerClient, replaceOldest, metrics });
  const closed: number[] = [];
  const notified: number[] = [];
  const socket = (name: number): ClientSocket => ({
    close: (reason) => void (reason === "replaced" && closed.push(name)),
    notify: () => void notified.push(name),
  });
  return {
    clients,
    metrics,
    closed,
    notified,
    sockets: Array.from({ length: 8 }, (_, name) => socket(name)),
  };
}

describe("ClientSockets", () => {
  it("sends a notice to all sockets of one client", () => {
    const { clients, sockets, notified } = bench(4, false);
    for (const socket of sockets.slice(0, 3)) clients.enter("ada", socket);
    clients.enter("bob", sockets[3] as ClientSocket);
    for (const client of ["ada", "bob", "nobody"]) clients.notify(client, "context_dropped", "text");
    expect(notified).toEqual([0, 1, 2, 3]);
  });

  it("refuses a socket over the limit, and accepts it after another one has left", () => {
    const { clients, sockets, metrics } = bench(2, false);
    const [a, b, c] = sockets as [ClientSocket, ClientSocket, ClientSocket];
    expect([clients.enter("ada", a), clients.isFull("ada"), clients.enter("ada", b)]).toEqual([
      true,
      false,
      true,
    ]);
    expect([clients.isFull("ada"), clients.enter("ada", c)]).toEqual([true, false]);
    expect(clients.isFull("bob")).toBe(false);
    clients.leave("ada", c);
    expect(clients.isFull("ada")).toBe(true);
    clients.leave("ada", a);
    clients.leave("ada", a);
    expect(clients.enter("ada", c)).toBe(true);
    expect(metrics.hits).toEqual(["client_connections"]);
  });

  it("closes the oldest sockets of the same client, in order of arrival, if replacing is on", () => {
    const { clients, sockets, closed, metrics } = bench(2, true);
    clients.enter("bob", sockets[7] as ClientSocket);
    for (const socket of sockets.slice(0, 5)) {
      expect(clients.isFull("ada")).toBe(false);
      expect(clients.enter("ada", socket)).toBe(true);
    }
    expect(closed).toEqual([0, 1, 2]);
    expect(metrics.hits).toHaveLength(3);
  });

  it("replaces the socket of a client whose limit is one", () => {
    const { clients, sockets, closed } = bench(1, true);
    for (const socket of sockets) expect(clients.enter("ada", socket)).toBe(true);
    expect(closed).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("keeps no entry of clients without sockets", () => {
    const { clients, sockets } = bench(5, false);
    for (const socket of sockets.slice(0, 4)) clients.enter("ada", socket);
    clients.enter("bob", sockets[4] as ClientSocket);
    expect(clients.size).toBe(2);
    for (const socket of sockets) for (const client of ["ada", "bob", "eve"]) clients.leave(client, socket);
    expect(clients.size).toBe(0);
  });
});
