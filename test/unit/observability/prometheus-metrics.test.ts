import { describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../../src/core/error-codes.ts";
import {
  createPrometheusMetrics,
  type PrometheusMetrics,
} from "../../../src/observability/prometheus-metrics.ts";

/** Lines of the text format that begin with `chat_<name>`, without comments. */
async function series(metrics: PrometheusMetrics, name: string): Promise<string[]> {
  const lines = (await metrics.render()).split("\n");
  return lines.filter((line) => line.startsWith(`chat_${name}{`) || line.startsWith(`chat_${name} `));
}

/** Calls every method of the metrics once, so that every series exists. */
function useAll(metrics: PrometheusMetrics): void {
  metrics.connectionOpened("anonymous");
  metrics.connectionClosed("anonymous", 1000);
  metrics.connectionRefused("token");
  metrics.frameReceived("message");
  metrics.frameSent("token");
  metrics.errorSent("busy");
  metrics.requestsWaiting(1);
  metrics.requestsRunning(1);
  metrics.firstToken("echo", 0.02);
  metrics.interToken("echo", 0.02);
  metrics.tokens("echo", "completion", 3);
  metrics.answerFinished("echo", "stop", 0.5);
  metrics.engineRestarted();
  metrics.providerFellBack("local", "openai", "mid_stream");
  metrics.providerRetried("openai");
  metrics.breakerState("openai", "open");
  metrics.spendRefused("client");
  metrics.gauge("queue_length", "Length of the queue", () => 7);
  metrics.counter("lines_dropped_total", "Lines dropped", () => 2);
}

describe("the rendered metrics", () => {
  it("use the Prometheus text format: help and type before each metric, one sample per line", async () => {
    const metrics = createPrometheusMetrics();
    useAll(metrics);
    const lines = (await metrics.render()).split("\n").filter((line) => line !== "");
    const sample = /^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+$|^[a-z_]+\{.*\} \+Inf$/;
    for (const line of lines.filter((it) => it.startsWith("chat_"))) expect(line).toMatch(sample);
    expect(lines).toContain("# TYPE chat_connections gauge");
    expect(lines).toContain("# TYPE chat_connections_total counter");
    expect(lines).toContain("# TYPE chat_time_to_first_token_seconds histogram");
    expect(lines).toContain("# HELP chat_queue_length Length of the queue");
    expect(metrics.contentType).toMatch(/^text\/plain; version=/);
  });

  it("are named chat_…, with counters ending in _total and durations in _seconds", async () => {
    const metrics = createPrometheusMetrics();
    useAll(metrics);
    const types = (await metrics.render()).matchAll(/^# TYPE (\S+) (\S+)$/gm);
    const own = [...types]
      .map(([, name = "", type = ""]) => ({ name, type }))
      // Metrics of Node.js and the process have their standard names.
      .filter(({ name }) => !/^(process|nodejs)_/.test(name));
    expect(own.length).toBeGreaterThanOrEqual(14);
    for (const { name, type } of own) {
      expect(name).toMatch(/^chat_[a-z_]+$/);
      expect(name.endsWith("_total"), name).toBe(type === "counter");
      if (type === "histogram") expect(name).toMatch(/_seconds$/);
    }
  });

  it("include process metrics", async () => {
    const text = await createPrometheusMetrics().render();
    expect(text).toMatch(/^process_cpu_seconds_total /m);
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  });

  it("are separate for two instances", async () => {
    const [one, other] = [createPrometheusMetrics(), createPrometheusMetrics()];
    one.frameReceived("ping");
    expect(await series(one, "frames_received_total")).toEqual(['chat_frames_received_total{type="ping"} 1']);
    expect(await series(other, "frames_received_total")).toEqual([]);
  });
});

describe("connection metrics", () => {
  it("show open and total connections by kind", async () => {
    const metrics = createPrometheusMetrics();
    metrics.connectionOpened("anonymous");
    metrics.connectionOpened("anonymous");
    metrics.connectionOpened("authenticated");
    metrics.connectionClosed("anonymous", 1000);
    expect(await series(metrics, "connections")).toEqual([
      'chat_connections{kind="anonymous"} 1',
      'chat_connections{kind="authenticated"} 1',
    ]);
    expect(await series(metrics, "connections_total")).toEqual([
      'chat_connections_total{kind="anonymous"} 2',
      'chat_connections_total{kind="authenticated"} 1',
    ]);
    expect(await series(metrics, "connections_closed_total")).toEqual([
      'chat_connections_closed_total{kind="anonymous",code="1000"} 1',
    ]);
  });

  it("limit the label for close codes: codes not defined by RFC 6455 or this service count as other", async () => {
    const metrics = createPrometheusMetrics();
    for (let code = 3000; code < 5000; code++) metrics.connectionClosed("anonymous", code);
    metrics.connectionClosed("anonymous", 1006);
    metrics.connectionClosed("authenticated", 4408);
    const lines = await series(metrics, "connections_closed_total");
    expect(lines).toContain('chat_connections_closed_total{kind="anonymous",code="1006"} 1');
    expect(lines).toContain('chat_connections_closed_total{kind="authenticated",code="4408"} 1');
    expect(lines).toContain('chat_connections_closed_total{kind="anonymous",code="other"} 1900');
    expect(lines.length).toBe(103);
  });
});

describe("frame and error metrics", () => {
  it("count frames by type", async () => {
    const metrics = createPrometheusMetrics();
    metrics.frameReceived("message");
    metrics.frameReceived("message");
    metrics.frameReceived("invalid");
    metrics.frameSent("token");
    expect(await series(metrics, "frames_received_total")).toEqual([
      'chat_frames_received_total{type="message"} 2',
      'chat_frames_received_total{type="invalid"} 1',
    ]);
    expect(await series(metrics, "frames_sent_total")).toEqual(['chat_frames_sent_total{type="token"} 1']);
  });

  it("have at most one series per error code", async () => {
    const metrics = createPrometheusMetrics();
    const codes = Object.keys(errorCodes) as ErrorCode[];
    for (const code of [...codes, ...codes]) metrics.errorSent(code);
    const lines = await series(metrics, "errors_total");
    expect(lines).toEqual(codes.map((code) => `chat_errors_total{code="${code}"} 2`));
  });
});

describe("request metrics", () => {
  it("show waiting and running requests as gauges that return to zero", async () => {
    const metrics = createPrometheusMetrics();
    metrics.requestsWaiting(1);
    metrics.requestsWaiting(1);
    metrics.requestsWaiting(-1);
    metrics.requestsRunning(1);
    expect(await series(metrics, "requests_waiting")).toEqual(["chat_requests_waiting 1"]);
    expect(await series(metrics, "requests_running")).toEqual(["chat_requests_running 1"]);
    metrics.requestsWaiting(-1);
    metrics.requestsRunning(-1);
    expect(await series(metrics, "requests_waiting")).toEqual(["chat_requests_waiting 0"]);
    expect(await series(metrics, "requests_running")).toEqual(["chat_requests_running 0"]);
  });

  it("report latencies as histograms in seconds, by provider", async () => {
    const metrics = createPrometheusMetrics();
    metrics.firstToken("echo", 0.02);
    metrics.firstToken("echo", 3);
    const name = "time_to_first_token_seconds";
    const buckets = await series(metrics, `${name}_bucket`);
    expect(buckets).toContain(`chat_${name}_bucket{le="0.01",provider="echo"} 0`);
    // The upper bound of a bucket is inclusive.
    expect(buckets).toContain(`chat_${name}_bucket{le="0.02",provider="echo"} 1`);
    expect(buckets).toContain(`chat_${name}_bucket{le="5",provider="echo"} 2`);
    expect(buckets).toContain(`chat_${name}_bucket{le="+Inf",provider="echo"} 2`);
    expect(await series(metrics, `${name}_sum`)).toEqual([`chat_${name}_sum{provider="echo"} 3.02`]);
    expect(await series(metrics, `${name}_count`)).toEqual([`chat_${name}_count{provider="echo"} 2`]);
  });

  it("count tokens by kind and answers by outcome", async () => {
    const metrics = createPrometheusMetrics();
    metrics.tokens("local", "prompt", 40);
    metrics.tokens("local", "cached", 0);
    metrics.tokens("local", "prompt", 2);
    metrics.answerFinished("local", "stop", 1);
    metrics.answerFinished("local", "error", 1);
    expect(await series(metrics, "tokens_total")).toEqual([
      'chat_tokens_total{provider="local",kind="prompt"} 42',
      'chat_tokens_total{provider="local",kind="cached"} 0',
    ]);
    expect(await series(metrics, "answer_seconds_count")).toEqual([
      'chat_answer_seconds_count{provider="local",outcome="stop"} 1',
      'chat_answer_seconds_count{provider="local",outcome="error"} 1',
    ]);
  });
});

describe("a gauge", () => {
  it("is read on each scrape and not before", async () => {
    const metrics = createPrometheusMetrics();
    let reads = 0;
    let fill = 5;
    metrics.gauge("queue_length", "Length of the queue", () => {
      reads++;
      return fill;
    });
    expect(reads).toBe(0);
    expect(await series(metrics, "queue_length")).toEqual(["chat_queue_length 5"]);
    fill = 0;
    expect(await series(metrics, "queue_length")).toEqual(["chat_queue_length 0"]);
    expect(reads).toBe(2);
  });

  it("rejects a duplicate name", () => {
    const metrics = createPrometheusMetrics();
    metrics.gauge("queue_length", "Length of the queue", () => 0);
    expect(() => metrics.gauge("queue_length", "Again", () => 0)).toThrow(/queue_length/);
  });
});

describe("a counter that is read", () => {
  it("shows the current value on each scrape instead of adding it to the last one", async () => {
    const metrics = createPrometheusMetrics();
    let dropped = 5;
    metrics.counter("lines_dropped_total", "Lines dropped", () => dropped);
    expect(await series(metrics, "lines_dropped_total")).toEqual(["chat_lines_dropped_total 5"]);
    dropped = 8;
    expect(await series(metrics, "lines_dropped_total")).toEqual(["chat_lines_dropped_total 8"]);
  });
});
