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
  /** Why not, as text for people; empty when ready. */
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
  /** Why the provider is not ready, as text for people; empty when ready. */
  readonly reason: string;
}

/** Sources of the status pages. */
export interface StatusRoutesOptions {
  readiness(): Readiness;
  renderMetrics(): Promise<string>;
  readonly metricsContentType: string;
  /** Bearer token of /metrics; undefined: only loopback addresses may read it. */
  readonly metricsToken: string | undefined;
}

/** The routes /healthz (if it fails, the process needs a restart), /readyz and /metrics. */
export function createStatusRoutes(options: StatusRoutesOptions): ReadonlyMap<string, HttpRoute> {
  return new Map<string, HttpRoute>([
    // Any reply shows that the event loop is running.
    ["/healthz", () => jsonReply(200, { status: "ok" })],
    ["/readyz", () => readyz(options.readiness())],
    ["/metrics", (request) => metrics(request, options)],
  ]);
}

function readyz({ ready, reason, provider, model, providers }: Readiness): HttpReply {
  const body = {
    status: ready ? "ready" : "not_ready",
    ...(reason !== "" && { reason }),
    provider,
    model,
    back_ends: providers.map((each) => ({ ...each, reason: each.reason === "" ? undefined : each.reason })),
  };
  return jsonReply(ready ? 200 : 503, body);
}

function metrics(request: HttpRequestFacts, options: StatusRoutesOptions): HttpReply | Promise<HttpReply> {
  const { metricsToken, metricsContentType } = options;
  if (metricsToken === undefined) {
    if (!request.fromLoopback) {
      return errorReply(
        403,
        "/metrics is available only on this machine; set METRICS_TOKEN to read it from another one.",
      );
    }
  } else if (!sameSecret(request.authorization.replace(/^bearer /i, "Bearer "), `Bearer ${metricsToken}`)) {
    return errorReply(401, "/metrics requires the header Authorization: Bearer <METRICS_TOKEN>.", {
      "www-authenticate": "Bearer",
    });
  }
  return options.renderMetrics().then((body) => ({
    status: 200,
    headers: { "content-type": metricsContentType, "cache-control": "no-store" },
    body,
  }));
}

/** Compares hashes in constant time, so that timing reveals neither content nor length. */
function sameSecret(given: string, expected: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}
