import { Counter, Gauge, Registry, collectDefaultMetrics } from "prom-client";
import { limits } from "../core/limits.ts";
import type { Metrics } from "../core/metrics.ts";
import { hotCounter, hotHistogram } from "./hot-metrics.ts";

/** In seconds, from one token on a GPU to a long queue. The buckets follow those of vLLM. */
const FIRST_TOKEN_BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160];
/** In seconds. */
const INTER_TOKEN_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5,
];
/** In seconds. */
const ANSWER_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

const BREAKER_LEVELS = { closed: 0, half_open: 1, open: 2 } as const;

/** Label for close codes of RFC 6455 and of this service. Other codes chosen by clients are counted as `other`. */
function closeCodeLabel(code: number): string {
  const known = (code >= 1000 && code <= 1015) || (code >= 4400 && code <= 4499);
  return known ? String(code) : "other";
}

export interface PrometheusMetrics extends Metrics {
  /** All metrics in the Prometheus text format. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** Creates all metrics of the service in their own registry. */
export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `chat_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `chat_${name}`, help, labelNames, registers });
  const hot = (name: string, help: string, labelNames: string[] = []) => ({
    name: `chat_${name}`,
    help,
    labelNames,
    registry,
  });

  const connections = hotCounter(hot("connections", "Open sockets", ["kind"]), "gauge");
  const opened = hotCounter(hot("connections_total", "Sockets opened", ["kind"]));
  const closed = hotCounter(
    hot("connections_closed_total", "Sockets closed, by close code", ["kind", "code"]),
  );
  const refused = counter("connections_refused_total", "Sockets refused at the upgrade, by reason", [
    "reason",
  ]);
  const received = hotCounter(
    hot("frames_received_total", "Frames received from clients, by type", ["type"]),
  );
  const sent = hotCounter(hot("frames_sent_total", "Frames sent to clients, by type", ["type"]));
  const errors = counter("errors_total", "Error frames sent, by code", ["code"]);
  const hits = counter("limit_hits_total", "Refusals, evictions and closes due to a limit, by limit", [
    "limit",
  ]);
  // Initialised with zero, because an alert on a rate needs the series before the first hit.
  for (const limit of Object.keys(limits)) hits.inc({ limit }, 0);
  const waiting = hotCounter(hot("requests_waiting", "Requests waiting for a provider"), "gauge");
  const running = hotCounter(hot("requests_running", "Requests being processed by a provider"), "gauge");
  const firstToken = hotHistogram(
    hot("time_to_first_token_seconds", "Time from the arrival of a message to the first text of its answer", [
      "provider",
    ]),
    FIRST_TOKEN_BUCKETS,
  );
  const interToken = hotHistogram(
    hot("inter_token_latency_seconds", "Time between two pieces of text of an answer", ["provider"]),
    INTER_TOKEN_BUCKETS,
  );
  const tokens = hotCounter(
    hot("tokens_total", "Tokens, by kind (prompt, completion, cached, reasoning)", ["provider", "kind"]),
  );
  const answers = hotHistogram(
    hot("answer_seconds", "Time from the arrival of a message to the end of its answer", [
      "provider",
      "outcome",
    ]),
    ANSWER_BUCKETS,
  );
  const spendRefusals = counter(
    "remote_spend_refused_total",
    "Calls to remote providers refused by the spend guard, by limit",
    ["limit"],
  );
  const restarts = counter("engine_restarts_total", "Restarts of the local engine after a crash");
  const fallbacks = counter("fallbacks_total", "Answers handed over to another provider", [
    "from",
    "to",
    "phase",
  ]);
  const retries = counter("provider_retries_total", "Retries of a provider for the same answer", [
    "provider",
  ]);
  const breakers = gauge(
    "breaker_state",
    "Circuit breaker of a provider: 0 closed (in use), 1 half open (one message probes it), 2 open (skipped)",
    ["provider"],
  );
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    connectionOpened(kind) {
      connections(1, kind);
      opened(1, kind);
    },
    connectionClosed(kind, code) {
      connections(-1, kind);
      closed(1, kind, closeCodeLabel(code));
    },
    connectionRefused: (reason) => refused.inc({ reason }),
    frameReceived: (type) => received(1, type),
    frameSent: (type) => sent(1, type),
    errorSent: (code) => errors.inc({ code }),
    limitHit: (limit) => hits.inc({ limit }),
    requestsWaiting: (delta) => waiting(delta),
    requestsRunning: (delta) => running(delta),
    firstToken: (provider, seconds) => firstToken(seconds, provider),
    interToken: (provider, seconds) => interToken(seconds, provider),
    tokens: (provider, kind, count) => tokens(count, provider, kind),
    answerFinished: (provider, outcome, seconds) => answers(seconds, provider, outcome),
    spendRefused: (limit) => spendRefusals.inc({ limit }),
    engineRestarted: () => restarts.inc(),
    providerFellBack: (from, to, phase) => fallbacks.inc({ from, to, phase }),
    providerRetried: (provider) => retries.inc({ provider }),
    breakerState: (provider, state) => breakers.set({ provider }, BREAKER_LEVELS[state]),
    gauge(name, help, read) {
      new Gauge({
        name: `chat_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    counter(name, help, read) {
      new Counter({
        name: `chat_${name}`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    },
  };
}
