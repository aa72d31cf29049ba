import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProxiedFetch } from "../../../src/outbound/proxied-fetch.ts";
import { answerOf, chatRequest, textOf } from "../../support/chat-request.ts";
import { answerText, whole } from "../../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../../support/fault-server.ts";
import { startHttpProxy, type HttpProxy, type HttpProxyOptions } from "../../support/http-proxy.ts";
import { remoteNames, remoteProvider } from "../../support/remote-provider.ts";
import { selfSigned } from "../../support/self-signed.ts";

/** The basic authorization of `user:hu sh`. */
const AUTHORIZATION = `Basic ${Buffer.from("user:hu sh").toString("base64")}`;

let server: FaultServer;
let proxy: HttpProxy;

beforeEach(async () => {
  server = await startFaultServer();
  server.play(whole());
});
afterEach(async () => {
  await proxy.close();
  await server.close();
});

const portOf = ({ baseUrl }: FaultServer): number => Number(new URL(baseUrl).port);

/** Starts a proxy and returns the `fetch` that uses it for all addresses that are not in `noProxy`. */
async function fetchThrough(options: Partial<HttpProxyOptions> = {}, noProxy?: string) {
  proxy = await startHttpProxy({ port: portOf(server), ...options });
  const url = `http://user:hu%20sh@${proxy.host}`;
  const fetch = await createProxiedFetch({ HTTPS_PROXY: url, HTTP_PROXY: url, NO_PROXY: noProxy });
  if (fetch === undefined) throw new Error("no proxy");
  return fetch;
}

/** The innermost cause of a rejection. */
async function causeOf(promise: Promise<unknown>): Promise<{ message: string; code?: string }> {
  let error = await promise.then(
    () => new Error("not rejected"),
    (reason: Error) => reason,
  );
  while (error.cause instanceof Error) error = error.cause;
  return error;
}

describe.each(remoteNames)("the %s provider behind a proxy", (name) => {
  const ask = async (fetch: typeof globalThis.fetch, baseUrl = "http://api.example.test/v1") => {
    const provider = remoteProvider(name, baseUrl, { deps: { fetch } });
    const text = textOf(await answerOf(provider, chatRequest("Hi")));
    await provider.close();
    return text;
  };

  it("answers through a tunnel, with the credentials of the proxy for the proxy only", async () => {
    const fetch = await fetchThrough({ authorization: AUTHORIZATION });
    expect(await ask(fetch)).toBe(answerText);
    expect(proxy.seen).toEqual(["CONNECT api.example.test:80"]);
    expect(server.requests[0]?.headers["proxy-authorization"]).toBeUndefined();
    expect(server.requests[0]?.headers.host).toBe("api.example.test");
  });

  it.each([[403], ["cut"]] as const)("answers by forwarding if tunnels get %s", async (tunnels) => {
    const fetch = await fetchThrough({ tunnels, forwards: true, authorization: AUTHORIZATION });
    expect(await ask(fetch, "http://api.example.test:8080/v1")).toBe(answerText);
    expect(proxy.seen).toEqual([
      "CONNECT api.example.test:8080",
      "POST http://api.example.test:8080/v1/chat/completions",
    ]);
    expect(server.requests[0]?.headers.host).toBe("api.example.test:8080");
  });

  it("closes the tunnel when an answer is cancelled", async () => {
    const fetch = await fetchThrough();
    server.play({ steps: [{ stall: true }] });
    const provider = remoteProvider(name, "http://api.example.test/v1", { deps: { fetch } });
    const controller = new AbortController();
    const answer = provider.stream(chatRequest("Hi"), { signal: controller.signal, onPart: () => undefined });
    const failure = expect(answer).rejects.toThrow("enough");
    const stalled = await server.request(0);
    controller.abort(new Error("enough"));
    await failure;
    await stalled.over;
    expect(stalled.abandoned).toBe(true);
    await provider.close();
  });

  it("does not use the proxy for loopback addresses", async () => {
    const fetch = await fetchThrough();
    expect(await ask(fetch, server.baseUrl)).toBe(answerText);
    expect(proxy.seen).toEqual([]);
  });

  it.each<[string, Partial<HttpProxyOptions>, string]>([
    ["wrong credentials", { authorization: "Basic other" }, "PROXY_STATUS_407"],
    ["an unreachable address", { tunnels: 502, forwards: true }, "PROXY_STATUS_502"],
  ])("reports %s with the settings to check, and without the credentials", async (_, options, code) => {
    const fetch = await fetchThrough(options);
    const provider = remoteProvider(name, "http://api.example.test/v1", { deps: { fetch } });
    const failure = answerOf(provider, chatRequest("Hi"));
    await expect(failure).rejects.toMatchObject({ code: "provider_unavailable" });
    await expect(failure).rejects.toThrow(new RegExp(`\\(${code}\\); check HTTPS_PROXY`));
    await expect(failure).rejects.not.toThrow(/hu sh|hu%20sh/);
    expect(server.requests).toEqual([]);
    await provider.close();
  });
});

describe("a proxied fetch", () => {
  it("does not exist without a proxy", async () => {
    proxy = await startHttpProxy({ port: 1 });
    const settings = { HTTPS_PROXY: undefined, HTTP_PROXY: undefined, NO_PROXY: undefined };
    expect(await createProxiedFetch(settings)).toBeUndefined();
  });

  it("verifies the certificate of the server inside a tunnel", async () => {
    await server.close();
    server = await startFaultServer(selfSigned("api.example.test"));
    const fetch = await fetchThrough();
    const cause = await causeOf(fetch("https://api.example.test/v1/models"));
    expect(cause.code).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(proxy.seen).toEqual(["CONNECT api.example.test:443"]);
  });

  it("reaches hosts of NO_PROXY directly", async () => {
    const fetch = await fetchThrough({}, "nowhere.invalid");
    expect((await causeOf(fetch("http://nowhere.invalid/"))).code).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
    expect(proxy.seen).toEqual([]);
  });

  it("names a proxy that cannot be reached, without its credentials", async () => {
    const fetch = await fetchThrough();
    const { host } = proxy;
    await proxy.close();
    const error = await fetch("https://api.example.test/").catch((reason: Error) => reason);
    const { cause } = error as Error;
    expect((cause as Error).message).toBe(`the proxy ${host} (HTTPS_PROXY) cannot be reached: ECONNREFUSED`);
    expect(cause).toMatchObject({ code: "PROXY_UNREACHABLE" });
    proxy = await startHttpProxy({ port: 1 });
  });

  it("does not forward what is meant for a tunnel with TLS", async () => {
    const fetch = await fetchThrough({ tunnels: 403, forwards: true });
    const { message } = await causeOf(fetch("https://api.example.test/"));
    expect(message).toContain("refused the connection with status 403");
    expect(proxy.seen).toEqual(["CONNECT api.example.test:443"]);
  });
});
