import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { limits } from "../core/limits.ts";
import type { Metrics } from "../core/metrics.ts";

/** Seconds; from a token on a GPU to a long queue. Buckets follow vLLM's. */
const FIRST_TOKEN_BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160];
const INTER_TOKEN_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5,
];
const ANSWER_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

/** Close codes of RFC 6455 and of this service. Clients may send any of thousands: those count as `other`. */
function closeCodeLabel(code: number): string {
  const known = (code >= 1000 && code <= 1015) || (code >= 4400 && code <= 4499);
  return known ? String(code) : "other";
}

export interface PrometheusMetrics extends Metrics {
  /** The text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** All metrics of the service, in a registry of their own. */
export function createMetrics(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `chat_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `chat_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name: `chat_${name}`, help, labelNames, buckets, registers });

  const connections = gauge("connections", "Sockets that are connected", ["kind"]);
  const opened = counter("connections_total", "Sockets that were connected", ["kind"]);
  const closed = counter("connections_closed_total", "Sockets that were closed, by close code", [
    "kind",
    "code",
  ]);
  const refused = counter("connections_refused_total", "Sockets turned away at the door", ["reason"]);
  const received = hotCounter("frames_received_total", "Frames of clients", registers);
  const sent = hotCounter("frames_sent_total", "Frames to clients", registers);
  const errors = counter("errors_total", "Error frames, by code", ["code"]);
  const hits = counter("limit_hits_total", "Limits that were met, by limit", ["limit"]);
  // Zero is a value too: an alert on a rate must find the series before the first hit.
  for (const limit of Object.keys(limits)) hits.inc({ limit }, 0);
  const waiting = gauge("requests_waiting", "Requests that wait for a back end");
  const running = gauge("requests_running", "Requests that a back end works on");
  const firstToken = histogram(
    "time_to_first_token_seconds",
    "From the arrival of a message to its first text",
    ["provider"],
    FIRST_TOKEN_BUCKETS,
  );
  const interToken = histogram(
    "inter_token_latency_seconds",
    "Between two pieces of text of an answer",
    ["provider"],
    INTER_TOKEN_BUCKETS,
  );
  const tokens = counter("tokens_total", "Tokens by kind", ["provider", "kind"]);
  const answers = histogram(
    "answer_seconds",
    "From the arrival of a message to the end of its answer",
    ["provider", "outcome"],
    ANSWER_BUCKETS,
  );
  const restarts = counter("engine_restarts_total", "Restarts of the local engine after a death");
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    connectionOpened(kind) {
      connections.inc({ kind });
      opened.inc({ kind });
    },
    connectionClosed(kind, code) {
      connections.dec({ kind });
      closed.inc({ kind, code: closeCodeLabel(code) });
    },
    connectionRefused: (reason) => refused.inc({ reason }),
    frameReceived: (type) => received(type),
    frameSent: (type) => sent(type),
    errorSent: (code) => errors.inc({ code }),
    limitHit: (limit) => hits.inc({ limit }),
    requestsWaiting: (delta) => waiting.inc(delta),
    requestsRunning: (delta) => running.inc(delta),
    firstToken: (provider, seconds) => firstToken.observe({ provider }, seconds),
    interToken: (provider, seconds) => interToken.observe({ provider }, seconds),
    tokens: (provider, kind, count) => tokens.inc({ provider, kind }, count),
    answerFinished: (provider, outcome, seconds) => answers.observe({ provider, outcome }, seconds),
    engineRestarted: () => restarts.inc(),
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
  };
}

/**
 * A counter of what happens with every frame. The library's own counters look their labels up on each call: here a call
 * adds to a plain number, and the numbers become samples when they are read.
 */
function hotCounter(name: string, help: string, registers: Registry[]): (type: string) => void {
  const cells = new Map<string, { count: number }>();
  new Counter({
    name: `chat_${name}`,
    help,
    labelNames: ["type"],
    registers,
    collect() {
      this.reset();
      for (const [type, { count }] of cells) this.inc({ type }, count);
    },
  });
  return (type) => {
    const cell = cells.get(type);
    if (cell === undefined) cells.set(type, { count: 1 });
    else cell.count++;
  };
}
