import { PerformanceObserver } from "node:perf_hooks";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { LoopWatch } from "../core/loop-watch.ts";
import type { Metrics } from "../core/metrics.ts";

/** A stall of the event loop, and its likely cause. */
export interface Stall {
  /** How long the loop did not run, in milliseconds. */
  readonly ms: number;
  /** The longest single activity of that time; null if none was recorded. */
  readonly activity: string | null;
  /** Duration of {@link activity}, in milliseconds. */
  readonly activityMs: number;
  /** Garbage collection in that time, in milliseconds. */
  readonly gcMs: number;
  /** CPU time that the process used in that time, in milliseconds: much less than `ms` if the machine was busy. */
  readonly cpuMs: number;
}

/** Sources and receiver of the measurements. */
export interface LoopWatchOptions {
  readonly clock: Clock;
  /** CPU time of the process so far, in milliseconds. */
  cpuMs(): number;
  /** Time spent in garbage collection so far, in milliseconds. */
  gcMs(): number;
  /** Called when the loop did not run for more than {@link STALL_MS}. */
  stalled(stall: Stall): void;
}

/** Interval of the checks, in milliseconds. */
const CHECK_MS = 50;

/** Stalls longer than this are reported, in milliseconds. */
export const STALL_MS = 200;

/** Measures how late a periodic timer fires, and which activity took longest since it fired last. */
export class EventLoopWatch implements LoopWatch {
  readonly #options: LoopWatchOptions;
  #activity: string | null = null;
  #began = 0;
  #longest: string | null = null;
  #longestMs = 0;
  #maxDelayMs = 0;
  #stop: () => void = () => {};

  constructor(options: LoopWatchOptions) {
    this.#options = options;
    this.#check(options.clock.now(), options.cpuMs(), options.gcMs());
  }

  begin(activity: string): void {
    this.#activity = activity;
    this.#began = this.#options.clock.now();
  }

  end(): void {
    const ms = this.#options.clock.now() - this.#began;
    if (ms > this.#longestMs) {
      this.#longestMs = ms;
      this.#longest = this.#activity;
    }
  }

  /** The longest delay since the last call, in milliseconds. */
  takeMaxDelay(): number {
    const delay = this.#maxDelayMs;
    this.#maxDelayMs = 0;
    return delay;
  }

  close(): void {
    this.#stop();
  }

  #check(before: number, cpuBefore: number, gcBefore: number): void {
    const { clock, cpuMs, gcMs, stalled } = this.#options;
    this.#longest = null;
    this.#longestMs = 0;
    this.#stop = clock.after(CHECK_MS, () => {
      const now = clock.now();
      const delay = now - before - CHECK_MS;
      this.#maxDelayMs = Math.max(this.#maxDelayMs, delay);
      const cpu = cpuMs();
      const gc = gcMs();
      if (delay > STALL_MS) {
        stalled({
          ms: delay,
          activity: this.#longest,
          activityMs: this.#longestMs,
          gcMs: gc - gcBefore,
          cpuMs: cpu - cpuBefore,
        });
      }
      this.#check(now, cpu, gc);
    });
  }
}

/** Watches the event loop of this process: one gauge, and one log line for each stall. */
export function watchEventLoop(clock: Clock, logger: Logger, metrics: Metrics): EventLoopWatch {
  let gcMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMs += duration;
  });
  observer.observe({ entryTypes: ["gc"] });
  const watch = new EventLoopWatch({
    clock,
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    gcMs: () => gcMs,
    stalled: (stall) => logger.warn(roundedFieldsOf(stall), "the event loop did not run for a while"),
  });
  metrics.gauge(
    "event_loop_max_delay_seconds",
    "Longest time since the last scrape in which the event loop did not run",
    () => watch.takeMaxDelay() / 1000,
  );
  return watch;
}

function roundedFieldsOf({ activity, ...times }: Stall): object {
  const rounded = Object.entries(times).map(([name, ms]) => [name, Math.round(ms)] as const);
  return { activity: activity ?? "none recorded", ...Object.fromEntries(rounded) };
}
