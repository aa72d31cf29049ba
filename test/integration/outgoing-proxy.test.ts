import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startHttpProxy, type HttpProxy } from "../support/http-proxy.ts";
import { selfSigned } from "../support/self-signed.ts";
import { startService, type Service } from "../support/service.ts";

const HOST = "api.example.test";

let folder: string;
let upstream: FaultServer;
let proxy: HttpProxy;
let service: Service;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "outgoing-proxy-"));
  const tls = selfSigned(HOST);
  writeFileSync(join(folder, "ca.pem"), tls.cert);
  upstream = await startFaultServer(tls);
  upstream.play(whole());
  proxy = await startHttpProxy({
    port: Number(new URL(upstream.baseUrl).port),
    authorization: `Basic ${Buffer.from("user:hush").toString("base64")}`,
  });
  service = await startService({
    AI_PROVIDER: "openai",
    AI_FALLBACK: "none",
    OPENAI_BASE_URL: `https://${HOST}/v1?api-version=1`,
    OPENAI_API_KEY: '"Bearer sk-0123"\n',
    NODE_EXTRA_CA_CERTS: join(folder, "ca.pem"),
    LOG_LEVEL: "trace",
    https_proxy: `user:hush@${proxy.host}`,
  });
});

afterAll(async () => {
  await service.stop();
  await proxy.close();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

it("answers over TLS through the proxy, which the start banner shows, and its password appears nowhere", async () => {
  const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
  expect(await chat.ask("hello")).toMatchObject({ type: "message", content: answerText, provider: "openai" });
  expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT ${HOST}:443`]));
  expect(upstream.modelRequests).toHaveLength(1);
  expect(upstream.requests[0]).toMatchObject({
    path: "/v1/chat/completions?api-version=1",
    headers: { authorization: "Bearer sk-0123" },
  });
  expect(service.stderr()).toContain(
    `Proxy     http://${proxy.host} (HTTPS_PROXY); direct: loopback addresses\n`,
  );
  await proxy.close();
  const failure = await chat.ask("hello again");
  const written = `${service.stderr()}${JSON.stringify(service.log)}${JSON.stringify(failure)}`;
  expect(failure).toMatchObject({ type: "error" });
  expect(written).toMatch(/PROXY_UNREACHABLE/);
  expect(written).not.toContain("hush");
  expect(written).not.toContain(Buffer.from("user:hush").toString("base64"));
  await chat.close();
});
