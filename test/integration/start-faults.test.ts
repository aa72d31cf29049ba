import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { runService, startService } from "../support/service.ts";

describe("the start", () => {
  it("reports a busy port before it loads a model", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const settings = { PORT: String(port), MODEL_PATH: "/nowhere.gguf" };
    const { code, stdout, stderr } = await runService(settings);
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain(
      `could not start: Cannot listen on 127.0.0.1 port ${port}: the port is in use. `,
    );
    expect(stdout).toContain("Cannot listen on");
    // A model that is missing would be reported.
    expect(stdout).not.toContain("nowhere");
  });

  it("reports unusable keys and unreadable files with all other faults of the configuration", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const { code, stderr } = await runService({
      PORT: "abc",
      HOST: "http://127.0.0.1",
      JWT_PUBLIC_KEY: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      JWT_PUBLIC_KEY_FILE: "/nowhere/key.pem",
      OPENAI_API_KEY: "sk-01\u200B23",
    });
    expect(code).toBe(1);
    expect(stderr).toContain("The configuration has 6 errors:");
    expect(stderr).toContain("JWT_PUBLIC_KEY contains a private key;");
    expect(stderr).toContain("JWT_PUBLIC_KEY_FILE: /nowhere/key.pem cannot be read (ENOENT)");
    expect(stderr).not.toContain("PRIVATE KEY");
  });

  it("accepts an IPv6 address in brackets", async ({ skip }) => {
    const probe = createServer();
    const hasIpv6 = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false)).listen(0, "::1", () => resolve(true));
    });
    probe.close();
    if (!hasIpv6) skip("this machine has no IPv6");
    const service = await startService({ HOST: "[::1]", AI_PROVIDER: "echo" });
    const { status } = await fetch(`http://[::1]:${service.port}/healthz`);
    expect(status).toBe(200);
    expect(service.stderr()).toContain(`http://[::1]:${service.port}/`);
    await service.stop();
  });
});
