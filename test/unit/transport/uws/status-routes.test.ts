import { describe, expect, it } from "vitest";
import type { HttpReply, HttpRequestFacts } from "../../../../src/transport/uws/http-reply.ts";
import { createStatusRoutes, type Readiness } from "../../../../src/transport/uws/status-routes.ts";

const ready: Readiness = { ready: true, reason: "", provider: "local", model: "m", providers: [] };

function ask(
  path: string,
  request: Partial<HttpRequestFacts> = {},
  options: { metricsToken?: string; readiness?: Readiness; rendered?: Promise<string> } = {},
): Promise<HttpReply> {
  const routes = createStatusRoutes({
    readiness: () => options.readiness ?? ready,
    renderMetrics: () => options.rendered ?? Promise.resolve("chat_connections 1\n"),
    metricsContentType: "text/plain; version=0.0.4",
    metricsToken: options.metricsToken,
  });
  const route = routes.get(path);
  if (route === undefined) throw new Error(`no ${path}`);
  const facts = { method: "GET", path, authorization: "", ifNoneMatch: "", fromLoopback: false, ...request };
  return Promise.resolve(route(facts));
}

function jsonOf({ body }: HttpReply): unknown {
  return JSON.parse(String(body));
}

describe("/healthz and /readyz", () => {
  it("report at /healthz that the process runs, even if it is not ready", async () => {
    const down = { ...ready, ready: false };
    const reply = await ask("/healthz", {}, { readiness: down });
    expect([reply.status, jsonOf(reply)]).toEqual([200, { status: "ok" }]);
  });

  it("report at /readyz the provider that answers, or why none can", async () => {
    const yes = await ask("/readyz", { fromLoopback: true });
    expect([yes.status, jsonOf(yes)]).toEqual([
      200,
      { status: "ready", provider: "local", model: "m", back_ends: [] },
    ]);
    const providers = [
      { name: "local", state: "degraded", breaker: "open", reason: "It failed." },
      { name: "openai", state: "ready", breaker: "closed", reason: "" },
    ];
    const readiness = { ready: false, reason: "Set a key.", provider: null, model: null, providers };
    const no = await ask("/readyz", { fromLoopback: true }, { readiness });
    expect(no.status).toBe(503);
    expect(jsonOf(no)).toEqual({
      status: "not_ready",
      reason: "Set a key.",
      provider: null,
      model: null,
      back_ends: [
        { name: "local", state: "degraded", breaker: "open", reason: "It failed." },
        { name: "openai", state: "ready", breaker: "closed" },
      ],
    });
    expect(no.headers["cache-control"]).toBe("no-store");
  });

  it("report at /readyz the status alone to requests that may not read /metrics", async () => {
    const down = { ...ready, ready: false, reason: "Set OPENAI_API_KEY." };
    const requests: [Partial<HttpRequestFacts>, { metricsToken?: string }][] = [
      [{}, {}],
      [{ authorization: "Bearer undefined" }, {}],
      [{ fromLoopback: true }, { metricsToken: "s3cret" }],
      [{ authorization: "Bearer other" }, { metricsToken: "s3cret" }],
    ];
    for (const [request, options] of requests) {
      const yes = await ask("/readyz", request, options);
      expect([yes.status, jsonOf(yes)]).toEqual([200, { status: "ready" }]);
      const no = await ask("/readyz", request, { ...options, readiness: down });
      expect([no.status, jsonOf(no)]).toEqual([503, { status: "not_ready" }]);
    }
    const withToken = { authorization: "Bearer s3cret" };
    const full = await ask("/readyz", withToken, { metricsToken: "s3cret", readiness: down });
    expect(jsonOf(full)).toMatchObject({ reason: "Set OPENAI_API_KEY." });
  });
});

describe("/metrics", () => {
  it("is available only on this machine while no token is set", async () => {
    const local = await ask("/metrics", { fromLoopback: true });
    expect(local).toEqual({
      status: 200,
      headers: { "content-type": "text/plain; version=0.0.4", "cache-control": "no-store" },
      body: "chat_connections 1\n",
    });
    const remote = await ask("/metrics", { authorization: "Bearer undefined" });
    expect(remote.status).toBe(403);
    expect(jsonOf(remote)).toMatchObject({
      error: { message: expect.stringContaining("only on the server's machine") as string },
    });
  });

  it("requires the token once one is set, even on this machine", async () => {
    const options = { metricsToken: "s3cret" };
    expect((await ask("/metrics", { authorization: "Bearer s3cret" }, options)).status).toBe(200);
    const wrong = [
      "",
      "Bearer ",
      "Bearer s3cre",
      "Bearer s3cret ",
      "Bearer S3CRET",
      "s3cret",
      "Basic s3cret",
    ];
    for (const authorization of wrong) {
      const reply = await ask("/metrics", { authorization, fromLoopback: true }, options);
      expect(reply.status).toBe(401);
      expect(reply.headers["www-authenticate"]).toBe("Bearer");
      expect(String(reply.body)).not.toContain("s3cret");
    }
  });

  it("passes a failure on to the router", async () => {
    const rendered = Promise.reject(new Error("broken"));
    await expect(ask("/metrics", { fromLoopback: true }, { rendered })).rejects.toThrow("broken");
  });
});
