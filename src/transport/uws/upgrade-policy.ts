import type { AddressResolver } from "../../auth/client-address.ts";
import type { HostPolicy } from "../../auth/host-policy.ts";
import type { OriginPolicy } from "../../auth/origin-policy.ts";
import { extractToken } from "../../auth/extract-token.ts";
import { TokenError, type TokenVerifier, type VerifiedToken } from "../../auth/token-verifier.ts";
import type { LimitName } from "../../core/limits.ts";
import type { Metrics } from "../../core/metrics.ts";
import { closeCodes, retryAfterReason, type CloseReason } from "../../protocol/close-codes.ts";
import type { ConnectionIdentity } from "../../session/session-registry.ts";
import type { AddressLimits } from "./address-limits.ts";
import { contradictionMessage } from "./http-reply.ts";

/** The subprotocol that requests the extended frames; the only one that is ever echoed. */
const SUBPROTOCOL = "chat.v1";

/** An upgrade request, copied out of the library's buffers. */
export interface UpgradeRequest {
  readonly endpoint: "anonymous" | "authenticated";
  readonly host: string;
  readonly origin: string;
  readonly query: URLSearchParams;
  /** All different Authorization lines. */
  readonly authorizations: readonly string[];
  /** The header Sec-WebSocket-Protocol, unchanged. */
  readonly protocols: string;
  /** Address of the TCP peer. */
  readonly peer: string;
  /** All X-Forwarded-For lines, joined by commas. */
  readonly forwardedFor: string;
  /** Name of a header that may come once and has different values. */
  readonly contradiction: string | undefined;
}

/** What happens to an upgrade request. */
export type UpgradeDecision =
  /** Refused with an HTTP status, without an upgrade: wrong host or origin, and floods. */
  | {
      readonly kind: "reject";
      readonly status: 400 | 403 | 421 | 500 | 503;
      readonly message: string;
      readonly retryAfterMs?: number;
    }
  /**
   * Upgraded and closed at once with a code, because browsers hide the HTTP status of a failed upgrade from pages. A
   * `reason` over 123 bytes is truncated when it is sent.
   */
  | { readonly kind: "refuse"; readonly code: number; readonly reason: string; readonly subprotocol: string }
  | { readonly kind: "admit"; readonly identity: ConnectionIdentity; readonly subprotocol: string };

/** Checks and limits of upgrade requests. */
export interface UpgradePolicyOptions {
  readonly allowAnonymous: boolean;
  readonly originPolicy: OriginPolicy;
  readonly hostPolicy: HostPolicy;
  readonly resolveAddress: AddressResolver;
  readonly tokenVerifier: TokenVerifier;
  /** Null with RATE_LIMITS=off. */
  readonly addresses: AddressLimits | null;
  readonly metrics: Metrics;
  /** Whether the server has no place for a socket of this endpoint. */
  full(endpoint: UpgradeRequest["endpoint"]): boolean;
  /** Whether a subject has its maximum number of sockets and the oldest one is not to be replaced. */
  subjectFull(subject: string): boolean;
  /** Whether the server is stopping. */
  draining(): boolean;
}

/** Meaning of the query parameter `stream`. */
const streamWords: ReadonlyMap<string, boolean> = new Map([
  ...["true", "1", "yes", "on"].map((word) => [word, true] as const),
  ...["false", "0", "no", "off", ""].map((word) => [word, false] as const),
]);

/** Milliseconds until a client may retry when a limit is reached; an estimate. */
const RETRY_AFTER_MS = 5000;

/** Creates the function that decides on upgrades. It is synchronous, since a delayed upgrade can lose its socket. */
export function createUpgradePolicy(
  options: UpgradePolicyOptions,
): (facts: UpgradeRequest) => UpgradeDecision {
  const { metrics } = options;
  return (facts) => {
    if (facts.contradiction !== undefined) {
      metrics.connectionRefused("headers");
      return { kind: "reject", status: 400, message: contradictionMessage(facts.contradiction) };
    }
    const host = options.hostPolicy.check(facts.host);
    if (!host.allowed) {
      metrics.connectionRefused("host");
      return { kind: "reject", status: 421, message: host.message };
    }
    const origin = options.originPolicy.check({ origin: facts.origin, host: facts.host });
    if (origin.outcome === "refused") {
      metrics.connectionRefused("origin");
      return { kind: "reject", status: 403, message: origin.message };
    }
    const offered = facts.protocols.split(",").map((word) => word.trim());
    const subprotocol = offered.includes(SUBPROTOCOL) ? SUBPROTOCOL : "";
    const refuse = (reason: CloseReason, text: string): UpgradeDecision => ({
      kind: "refuse",
      code: closeCodes[reason].code,
      reason: text,
      subprotocol,
    });
    if (origin.outcome === "refused_null") {
      metrics.connectionRefused("origin");
      return refuse("forbidden", origin.message);
    }
    if (options.draining()) {
      metrics.connectionRefused("draining");
      return refuse("restart", "the server is shutting down");
    }
    const { accountKey } = options.resolveAddress({ peer: facts.peer, forwardedFor: facts.forwardedFor });
    const exceeded = checkLimits(accountKey, facts.endpoint, options);
    if (exceeded !== null) {
      countLimit(metrics, exceeded.limit);
      return exceeded.flood
        ? rejectFlood(exceeded.retryAfterMs)
        : refuse("overloaded", retryAfterReason(exceeded.retryAfterMs));
    }
    const token =
      facts.endpoint === "authenticated" ? checkToken(facts, offered, options) : checkAnonymous(options);
    if (token !== null && "refused" in token) return refuse(token.refused, token.text);
    if (token !== null && options.subjectFull(token.subject)) {
      countLimit(metrics, "client_connections");
      return refuse("overloaded", retryAfterReason(RETRY_AFTER_MS));
    }
    const requested = facts.query.get("stream");
    const streaming =
      requested === null ? subprotocol !== "" : streamWords.get(requested.trim().toLowerCase());
    if (streaming === undefined) {
      metrics.connectionRefused("query");
      return refuse("policy", "the query parameter stream must be true or false");
    }
    return { kind: "admit", identity: { address: accountKey, token, streaming }, subprotocol };
  };
}

/** A connection limit that the new socket would exceed. */
interface ExceededLimit {
  readonly limit: LimitName;
  readonly retryAfterMs: number;
  readonly flood: boolean;
}

/** The connection limit of the server or the address that one more socket would exceed; null if none. */
function checkLimits(
  address: string,
  endpoint: UpgradeRequest["endpoint"],
  { addresses, full }: UpgradePolicyOptions,
): ExceededLimit | null {
  const refusal = addresses?.refusal(address) ?? null;
  if (refusal !== null) return refusal;
  if (!full(endpoint)) return null;
  return { limit: "connections", retryAfterMs: RETRY_AFTER_MS, flood: false };
}

function countLimit(metrics: Metrics, limit: LimitName): void {
  metrics.connectionRefused("limit");
  metrics.limitHit(limit);
}

function rejectFlood(retryAfterMs: number): UpgradeDecision {
  return {
    kind: "reject",
    status: 503,
    message: "Too many connections from your address; try again later.",
    retryAfterMs,
  };
}

/** Why the authentication failed. */
interface Refused {
  readonly refused: CloseReason;
  readonly text: string;
}

function checkAnonymous({ allowAnonymous, metrics }: UpgradePolicyOptions): null | Refused {
  if (allowAnonymous) return null;
  metrics.connectionRefused("anonymous");
  return {
    refused: "unauthorized",
    text: "this server does not accept anonymous clients: use /ws/chat/auth with a token",
  };
}

/** The claims of a valid token, or why there is none. */
function checkToken(
  facts: UpgradeRequest,
  offered: readonly string[],
  options: UpgradePolicyOptions,
): VerifiedToken | Refused {
  const { authorizations, query } = facts;
  const found = extractToken({ query: query.getAll("token"), authorizations, protocols: offered });
  try {
    // Without a configured key every token fails, so that error takes precedence over a missing token.
    if (found.kind === "token" || !options.tokenVerifier.configured) {
      return options.tokenVerifier.verify(found.kind === "token" ? found.token : "");
    }
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    options.metrics.connectionRefused("token");
    return { refused: error.fault === "expired" ? "tokenExpired" : "unauthorized", text: error.message };
  }
  options.metrics.connectionRefused("token");
  const text =
    found.kind === "none"
      ? "a token is missing: ?token=…, Authorization: Bearer …, or subprotocols chat.v1, bearer.…"
      : "two different tokens were given: send one";
  return { refused: "unauthorized", text };
}
