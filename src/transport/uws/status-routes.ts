import { createHash, timingSafeEqual } from "node:crypto";
import {
  errorReply,
  jsonReply,
  type HttpReply,
  type HttpRequestFacts,
  type HttpRoute,
} from "./http-reply.ts";

/** Whether messages can be answered, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  /** For people; empty when ready. */
  readonly reason: string;
  readonly provider: string | null;
  readonly model: string | null;
  /** All back ends that may be asked, in order. */
  readonly backEnds: readonly BackEndStatus[];
}

/** Where one back end stands. */
export interface BackEndStatus {
  readonly name: string;
  readonly state: string;
  /** `open`: it is left alone since it failed; `half_open`: one message tries it. */
  readonly breaker: string;
  /** For people; empty when ready. */
  readonly reason: string;
}

export interface StatusRoutesOptions {
  readiness(): Readiness;
  renderMetrics(): Promise<string>;
  readonly metricsContentType: string;
  /** Bearer token for /metrics; undefined: loopback addresses only. */
  readonly metricsToken: string | undefined;
}

/** /healthz (only a restart of the process could help when it fails), /readyz and /metrics. */
export function createStatusRoutes(options: StatusRoutesOptions): ReadonlyMap<string, HttpRoute> {
  return new Map<string, HttpRoute>([
    // That it answers at all is the sign of life: the event loop runs.
    ["/healthz", () => jsonReply(200, { status: "ok" })],
    ["/readyz", () => readyz(options.readiness())],
    ["/metrics", (request) => metrics(request, options)],
  ]);
}

function readyz({ ready, reason, provider, model, backEnds }: Readiness): HttpReply {
  const body = {
    status: ready ? "ready" : "not_ready",
    ...(reason !== "" && { reason }),
    provider,
    model,
    back_ends: backEnds.map((each) => ({ ...each, reason: each.reason === "" ? undefined : each.reason })),
  };
  return jsonReply(ready ? 200 : 503, body);
}

function metrics(request: HttpRequestFacts, options: StatusRoutesOptions): HttpReply | Promise<HttpReply> {
  const { metricsToken, metricsContentType } = options;
  if (metricsToken === undefined) {
    if (!request.fromLoopback) {
      return errorReply(
        403,
        "/metrics answers only this machine; set METRICS_TOKEN to read it from elsewhere.",
      );
    }
  } else if (!sameSecret(request.authorization.replace(/^bearer /i, "Bearer "), `Bearer ${metricsToken}`)) {
    return errorReply(401, "/metrics needs Authorization: Bearer <METRICS_TOKEN>.", {
      "www-authenticate": "Bearer",
    });
  }
  return options.renderMetrics().then((body) => ({
    status: 200,
    headers: { "content-type": metricsContentType, "cache-control": "no-store" },
    body,
  }));
}

/** Compares hashes in constant time, so that neither content nor length leaks by timing. */
function sameSecret(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}
