import { noMetrics, type Metrics } from "../../src/core/metrics.ts";

/** Metrics that a test can read. */
export class CountingMetrics implements Metrics {
  waiting = 0;
  running = 0;
  /** Whether `waiting` or `running` was ever below zero. */
  underflow = false;
  /** `provider outcome` of each finished answer. */
  readonly finished: string[] = [];
  readonly received: string[] = [];
  readonly sent: string[] = [];
  readonly errors: string[] = [];
  readonly refused: string[] = [];
  readonly hits: string[] = [];
  readonly tokenCounts = new Map<string, number>();
  readonly gauges = new Map<string, () => number>();
  readonly connectionOpened = noMetrics.connectionOpened;
  readonly connectionClosed = noMetrics.connectionClosed;
  readonly firstToken = noMetrics.firstToken;
  readonly interToken = noMetrics.interToken;
  readonly spendRefusals: string[] = [];
  readonly engineRestarted = noMetrics.engineRestarted;
  /** `from>to phase` of each fallback. */
  readonly fallbacks: string[] = [];
  readonly retries: string[] = [];
  readonly breakers = new Map<string, string>();

  connectionRefused(reason: string): void {
    this.refused.push(reason);
  }

  frameReceived(type: string): void {
    this.received.push(type);
  }

  frameSent(type: string): void {
    this.sent.push(type);
  }

  errorSent(code: string): void {
    this.errors.push(code);
  }

  limitHit(limit: string): void {
    this.hits.push(limit);
  }

  requestsWaiting(delta: 1 | -1): void {
    this.waiting += delta;
    this.underflow ||= this.waiting < 0;
  }

  requestsRunning(delta: 1 | -1): void {
    this.running += delta;
    this.underflow ||= this.running < 0;
  }

  tokens(_provider: string, kind: string, count: number): void {
    this.tokenCounts.set(kind, (this.tokenCounts.get(kind) ?? 0) + count);
  }

  answerFinished(provider: string, outcome: string): void {
    this.finished.push(`${provider} ${outcome}`);
  }

  providerFellBack(from: string, to: string, phase: string): void {
    this.fallbacks.push(`${from}>${to} ${phase}`);
  }

  providerRetried(provider: string): void {
    this.retries.push(provider);
  }

  breakerState(provider: string, state: string): void {
    this.breakers.set(provider, state);
  }

  spendRefused(limit: string): void {
    this.spendRefusals.push(limit);
  }

  counter(name: string, help: string, read: () => number): void {
    this.gauge(name, help, read);
  }

  gauge(name: string, _help: string, read: () => number): void {
    this.gauges.set(name, read);
  }

  /** Current value of a gauge or counter. */
  read(name: string): number {
    const read = this.gauges.get(name);
    if (read === undefined) throw new Error(`no gauge or counter ${name}`);
    return read();
  }
}
