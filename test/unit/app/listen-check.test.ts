import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { checkListenAddress } from "../../../src/app/listen-check.ts";

describe("checkListenAddress", () => {
  it("accepts a free port, and leaves it free", async () => {
    for (const host of ["127.0.0.1", "localhost", "0.0.0.0"]) {
      await expect(checkListenAddress(host, 0)).resolves.toBeUndefined();
    }
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    await checkListenAddress("127.0.0.1", port);
    await expect(checkListenAddress("127.0.0.1", port)).resolves.toBeUndefined();
  });

  it.each(["127.0.0.1", "0.0.0.0"])("reports a busy port for %s", async (host) => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(checkListenAddress(host, port)).rejects.toThrow(
      `Cannot listen on ${host} port ${port}: the port is in use. Stop the other server, or set PORT to a free port.`,
    );
    server.close();
  });

  it("reports an address that this machine does not have", async () => {
    // TEST-NET-1 and the documentation range of IPv6.
    await expect(checkListenAddress("192.0.2.7", 0)).rejects.toThrow(/no network interface of this machine/);
    await expect(checkListenAddress("2001:db8::7", 0)).rejects.toThrow(/Set HOST to /);
  });

  it("reports a name that is not known", async () => {
    await expect(checkListenAddress("nowhere.invalid", 0)).rejects.toThrow(
      /Cannot listen on nowhere\.invalid port 0: the host name is not known \(E.*Set HOST to an address .*ALLOWED_HOSTS/,
    );
  });
});
