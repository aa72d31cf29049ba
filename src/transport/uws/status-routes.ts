import { createHash, timingSafeEqual } from "node:crypto";
import {
  errorReply,
  jsonReply,
  type HttpReply,
  type HttpRequestFacts,
  type HttpRoute,
} from "./http-reply.ts";

/** Whether the server can answer messages. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not, as text for operators; empty when ready. */
  readonly reason: string;
  readonly provider: string | null;
  readonly model: string | null;
  /** All providers, in the order in which they are tried. */
  readonly providers: readonly ProviderStatus[];
}

/** State of one provider. */
export interface ProviderStatus {
  readonly name: string;
  readonly state: string;
  /** Circuit breaker: `closed`; `open` after failures, no requests; `half_open`, one trial request. */
  readonly breaker: string;
  /** Why the provider is not ready, as text for operators; empty when ready. */
  readonly reason: string;
}

/** Sources of the status pages. */
export interface StatusRoutesOptions {
  readiness(): Readiness;
  renderMetrics(): Promise<string>;
  readonly metricsContentType: string;
  /** Bearer token of /metrics and of the details of /readyz; undefined: only loopback addresses may read them. */
  readonly metricsToken: string | undefined;
}

/** The routes /healthz (if it fails, the process needs a restart), /readyz and /metrics. */
export function createStatusRoutes(options: StatusRoutesOptions): ReadonlyMap<string, HttpRoute> {
  return new Map<string, HttpRoute>([
    // Any reply shows that the event loop is running.
    ["/healthz", () => jsonReply(200, { status: "ok" })],
    ["/readyz", (request) => readyz(request, options)],
    ["/metrics", (request) => metrics(request, options)],
  ]);
}

/** The status is public, for probes. The reasons name settings and causes, so they are for operators. */
function readyz(request: HttpRequestFacts, options: StatusRoutesOptions): HttpReply {
  const { ready, reason, provider, model, providers } = options.readiness();
  const code = ready ? 200 : 503;
  const status = ready ? "ready" : "not_ready";
  if (accessOf(request, options.metricsToken) !== "granted") return jsonReply(code, { status });
  return jsonReply(code, {
    status,
    ...(reason !== "" && { reason }),
    provider,
    model,
    back_ends: providers.map((each) => ({ ...each, reason: each.reason === "" ? undefined : each.reason })),
  });
}

/** Whether a request may read what is for operators: with the token, or from this machine if no token is set. */
function accessOf(
  { authorization, fromLoopback }: HttpRequestFacts,
  metricsToken: string | undefined,
): "granted" | "token_required" | "loopback_only" {
  if (metricsToken === undefined) return fromLoopback ? "granted" : "loopback_only";
  const matches = sameSecret(authorization.replace(/^bearer /i, "Bearer "), `Bearer ${metricsToken}`);
  return matches ? "granted" : "token_required";
}

function metrics(request: HttpRequestFacts, options: StatusRoutesOptions): HttpReply | Promise<HttpReply> {
  const access = accessOf(request, options.metricsToken);
  if (access === "loopback_only")
    return errorReply(403, "/metrics is available only on the server's machine.");
  if (access === "token_required") {
    const message = "/metrics requires the header Authorization: Bearer, with the operator's token.";
    return errorReply(401, message, { "www-authenticate": "Bearer" });
  }
  return options.renderMetrics().then((body) => ({
    status: 200,
    headers: { "content-type": options.metricsContentType, "cache-control": "no-store" },
    body,
  }));
}

/** Compares hashes in constant time, so that timing reveals neither content nor length. */
function sameSecret(given: string, expected: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}
