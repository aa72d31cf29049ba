import { processCpuSeconds } from "../harness/cpu-time.ts";
import { untilQuiet } from "../harness/until-quiet.ts";
import type { ChatTarget, TargetSpec } from "./chat-target.ts";
import { judge, type Pair, type Verdict } from "./load/bars.ts";
import { askOnce } from "./load/chatting.ts";
import type { Figures } from "./load/figures.ts";
import { seededRandom } from "./load/random.ts";
import type { Case } from "./scenario.ts";

export type Start = (spec: TargetSpec) => Promise<ChatTarget>;

export interface MeasureOptions {
  readonly service: Start;
  /** If null, the service is measured alone, and bars on ratios have no verdict. */
  readonly control: Start | null;
  readonly pairs: number;
  /** Seed of the first pair. Each further pair uses the next number. */
  readonly seed: number;
  /** Called after each pair. */
  readonly progress: (line: string) => void;
}

export interface CaseResult {
  readonly name: string;
  readonly service: Contender;
  readonly control: Contender | null;
  readonly calibrated: Figures;
  readonly pairs: readonly Pair[];
  readonly verdicts: readonly Verdict[];
}

export interface Contender {
  readonly name: string;
  readonly flags: Readonly<Record<string, string>>;
}

/** Words and tokens of the warm-up chat, which compiles code, maps memory and caches the system prompt. */
const WARM_UP = { words: 20, tokens: 16 };

/**
 * Measures a case pair by pair. The order of service and control alternates. A run begins when both servers are idle.
 * Each server stays up and idle while the other is driven, or is started again for each run if the case requires it.
 */
export async function measureCase(it: Case, options: MeasureOptions): Promise<CaseResult> {
  const service = new Runner(it, options.service);
  const control = options.control && new Runner(it, options.control);
  try {
    const calibrated = (await (control ?? service).calibrate()) ?? {};
    const pairs: Pair[] = [];
    for (let pair = 0; pair < options.pairs; pair++) {
      const seed = options.seed + pair;
      const runners = control === null ? [service] : [service, control];
      const figures = new Map<Runner, Figures>();
      for (const runner of pair % 2 === 0 ? runners : runners.toReversed()) {
        for (const each of runners) await each.atRest();
        figures.set(runner, await runner.run(seed, calibrated));
      }
      pairs.push({
        service: figures.get(service) ?? {},
        control: control === null ? null : (figures.get(control) ?? {}),
      });
      options.progress(`${it.name}: pair ${pair + 1} of ${options.pairs}`);
    }
    return {
      name: it.name,
      service: service.contender(),
      control: control?.contender() ?? null,
      calibrated,
      pairs,
      verdicts: it.bars.map((bar) => judge(bar, pairs)),
    };
  } finally {
    await service.stop();
    await control?.stop();
  }
}

/** Starts one contender and drives it through all runs of a case. */
class Runner {
  readonly #case: Case;
  readonly #start: Start;
  #target: ChatTarget | null = null;
  #contender: Contender = { name: "not started", flags: {} };

  constructor(it: Case, start: Start) {
    this.#case = it;
    this.#start = start;
  }

  contender(): Contender {
    return this.#contender;
  }

  async calibrate(): Promise<Figures | undefined> {
    return this.#case.calibrate?.(await this.#ready());
  }

  /** Resolves when the target has finished all its work; at once if it is not running. */
  async atRest(): Promise<void> {
    const target = this.#target;
    if (target !== null) await untilQuiet(target.name, () => cpuOf(target));
  }

  async run(seed: number, calibrated: Figures): Promise<Figures> {
    if (this.#case.fresh) await this.stop();
    const target = await this.#ready();
    const cpuBefore = cpuOf(target);
    const begin = performance.now();
    const figures = await this.#case.run(target, seed, calibrated);
    const seconds = (performance.now() - begin) / 1000;
    return { ...figures, "cores used": (cpuOf(target) - cpuBefore) / seconds, "seconds of the run": seconds };
  }

  async stop(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.stop();
  }

  async #ready(): Promise<ChatTarget> {
    if (this.#target !== null) return this.#target;
    const target = await this.#start(this.#case.spec);
    this.#target = target;
    this.#contender = { name: target.name, flags: target.flags };
    const load = { user: "warm-up", conversation: "warm-up", random: seededRandom(0), ...WARM_UP };
    await askOnce(target, load);
    return target;
  }
}

function cpuOf({ pids }: ChatTarget): number {
  return pids.reduce((sum, pid) => sum + processCpuSeconds(pid), 0);
}
