import type { Clock } from "../../core/clock.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { ChatProvider, ChatRequest, Finish, StreamPart } from "../provider.ts";
import type { AnswerRun } from "./answer-run.ts";
import type { ChainMember } from "./chain-member.ts";
import type { BreakerCall } from "./circuit-breaker.ts";
import { Watch, type Deadlines } from "./deadlines.ts";
import type { QuarantinePlace, CrashQuarantine } from "./crash-quarantine.ts";

/** One try of one provider. */
export interface Try {
  readonly member: ChainMember;
  readonly run: AnswerRun;
  readonly call: BreakerCall;
}

/** Dependencies shared by all tries of a chain. */
export interface TryTools {
  readonly deadlines: Deadlines;
  readonly quarantine: CrashQuarantine;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Milliseconds of generating text or reasoning after which a suspect is cleared, and the next suspect may run. */
const PROBATION_MS = 10_000;

/** Tries one provider once. @throws the error that prevented a whole answer */
export async function tryOnce(attempt: Try, tools: TryTools): Promise<Finish> {
  const { member, run } = attempt;
  const { deadlines, quarantine, clock, metrics } = tools;
  const watch = new Watch({ provider: member.name, deadlines, time: run.time, clock, caller: run.signal });
  let place: QuarantinePlace | undefined;
  let endProbation: (() => void) | undefined;
  const cleared = (): void => {
    place?.leave();
    run.clear();
  };
  const sawOutput = (): void => {
    if (place !== undefined) endProbation ??= clock.after(PROBATION_MS, cleared);
  };
  run.begin();
  try {
    if (member.startingUp) watch.expectText();
    const provider = member.provider ?? (await member.start(watch.signal));
    const request = run.requestTo();
    const hop = run.takeHop(member.name);
    if (hop !== null) {
      metrics.providerFellBack(hop.fromProvider, hop.toProvider, hop.phase);
      run.emit(hop);
    }
    if (run.suspected && member.name === "local") {
      place = quarantine.enter();
      watch.queued();
      if (place.position > 0) run.emit({ type: "queued", position: place.position });
      await place.turn(watch.signal);
      if (member.startingUp) watch.expectText();
    }
    return await read(attempt, provider, request, { watch, sawOutput });
  } finally {
    watch.close();
    endProbation?.();
    place?.leave();
  }
}

async function read(
  { member, run, call }: Try,
  provider: ChatProvider,
  request: ChatRequest,
  { watch, sawOutput }: { readonly watch: Watch; readonly sawOutput: () => void },
): Promise<Finish> {
  const gate = run.gateFor(provider);
  const onPart = (part: StreamPart): void => {
    if (part.type === "text-delta") {
      watch.onText();
      call.sawText();
      sawOutput();
      const piece = gate === null ? part : gate.push(part);
      if (piece !== null) run.emitText(piece);
      return;
    }
    if (part.type === "reasoning-delta") {
      watch.onText();
      sawOutput();
      run.emitReasoning(part);
      return;
    }
    if (part.type === "started") {
      run.started(part);
      watch.started();
    } else if (part.type === "progress") watch.progress();
    // While the provider starts, requests wait for the start and not in its queue.
    else if (!member.startingUp) watch.queued();
    run.emit(part);
  };
  try {
    const finish = await provider.stream(request, { signal: watch.signal, onPart });
    call.succeeded();
    const rest = gate?.end();
    if (rest) {
      run.emitText(rest);
      // The held text may exceed the limit of the answer. The provider has finished and cannot react to the signal.
      run.signal.throwIfAborted();
    }
    return finish;
  } catch (error) {
    // The held text is dropped, but its tokens were spent.
    const tokens = gate?.heldTokens ?? 0;
    if (tokens > 0 && !run.signal.aborted) run.emit({ type: "text-delta", text: "", tokens });
    throw error;
  }
}
