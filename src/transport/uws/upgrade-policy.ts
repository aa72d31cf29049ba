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

/** The subprotocol that asks for the extended frames; the only one that is ever echoed. */
const SUBPROTOCOL = "chat.v1";

/** What an upgrade request says, copied out of the library's buffers. */
export interface UpgradeRequest {
  readonly endpoint: "anonymous" | "authenticated";
  readonly host: string;
  readonly origin: string;
  readonly query: URLSearchParams;
  readonly authorization: string;
  /** The header Sec-WebSocket-Protocol as it came. */
  readonly protocols: string;
  readonly peer: string;
  readonly forwardedFor: string;
}

export type UpgradeDecision =
  /** Plain HTTP, before any upgrade: refusals that the client cannot mend, and floods. */
  | {
      readonly kind: "reject";
      readonly status: 403 | 421 | 503;
      readonly message: string;
      readonly retryAfterMs?: number;
    }
  /** Accepted and closed at once with a code, because a browser hides the status of a failed upgrade. */
  | { readonly kind: "refuse"; readonly code: number; readonly reason: string; readonly subprotocol: string }
  | { readonly kind: "admit"; readonly identity: ConnectionIdentity; readonly subprotocol: string };

export interface UpgradePolicyOptions {
  readonly allowAnonymous: boolean;
  readonly maxConnections: number;
  readonly originPolicy: OriginPolicy;
  readonly hostPolicy: HostPolicy;
  readonly resolveAddress: AddressResolver;
  readonly tokenVerifier: TokenVerifier;
  /** Null with RATE_LIMITS=off. */
  readonly addresses: AddressLimits | null;
  readonly metrics: Metrics;
  /** Sockets that are connected now. */
  connections(): number;
  /** Whether a subject has as many sockets as it may, and no older one is to make room. */
  subjectFull(subject: string): boolean;
  draining(): boolean;
}

/** A full server is likely to stay so for a while. */
const RETRY_AFTER_MS = 5000;

/** Decides who comes in. Synchronous throughout: an upgrade that waits can lose its socket. */
export function createUpgradePolicy(
  options: UpgradePolicyOptions,
): (facts: UpgradeRequest) => UpgradeDecision {
  const { metrics } = options;
  return (facts) => {
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
      return refuse("restart", "the server stops");
    }
    const { accountKey } = options.resolveAddress({ peer: facts.peer, forwardedFor: facts.forwardedFor });
    const crowded = checkRoom(accountKey, options);
    if (crowded !== null) {
      countLimit(metrics, crowded.limit);
      return crowded.flood
        ? flooding(crowded.retryAfterMs)
        : refuse("overloaded", retryAfterReason(crowded.retryAfterMs));
    }
    const token =
      facts.endpoint === "authenticated" ? checkToken(facts, offered, options) : checkAnonymous(options);
    if (token !== null && "refused" in token) return refuse(token.refused, token.text);
    if (token !== null && options.subjectFull(token.subject)) {
      countLimit(metrics, "client_connections");
      return refuse("overloaded", retryAfterReason(RETRY_AFTER_MS));
    }
    const asked = facts.query.get("stream");
    const streaming = asked === null ? subprotocol !== "" : asked === "true" || asked === "1";
    return { kind: "admit", identity: { address: accountKey, token, streaming }, subprotocol };
  };
}

interface Crowded {
  readonly limit: LimitName;
  readonly retryAfterMs: number;
  readonly flood: boolean;
}

/** Whether the server and the identity's address have room for one more socket. */
function checkRoom(
  address: string,
  { addresses, connections, maxConnections }: UpgradePolicyOptions,
): Crowded | null {
  const refusal = addresses?.refusal(address) ?? null;
  if (refusal !== null) return refusal;
  if (connections() < maxConnections) return null;
  return { limit: "connections", retryAfterMs: RETRY_AFTER_MS, flood: false };
}

function countLimit(metrics: Metrics, limit: LimitName): void {
  metrics.connectionRefused("limit");
  metrics.limitHit(limit);
}

function flooding(retryAfterMs: number): UpgradeDecision {
  return {
    kind: "reject",
    status: 503,
    message: "Too many sockets are opened from your address.",
    retryAfterMs,
  };
}

interface Refused {
  readonly refused: CloseReason;
  readonly text: string;
}

function checkAnonymous({ allowAnonymous, metrics }: UpgradePolicyOptions): null | Refused {
  if (allowAnonymous) return null;
  metrics.connectionRefused("anonymous");
  return {
    refused: "unauthorized",
    text: "this server takes no anonymous clients: use /ws/chat/auth with a token",
  };
}

/** The claims of a good token, or why there is none. */
function checkToken(
  facts: UpgradeRequest,
  offered: readonly string[],
  options: UpgradePolicyOptions,
): VerifiedToken | Refused {
  const { authorization, query } = facts;
  const found = extractToken({ query: query.get("token") ?? undefined, authorization, protocols: offered });
  try {
    // Without a key no token could help: say that first.
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
