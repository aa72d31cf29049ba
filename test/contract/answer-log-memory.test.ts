import { MemoryAnswerLog } from "../../src/stores/memory/memory-answer-log.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { answerLogContract } from "./answer-log-contract.ts";

answerLogContract("memory", (options) => {
  const clock = new VirtualClock();
  const log = new MemoryAnswerLog({ ...options, clock });
  return Promise.resolve({ log, bytes: () => log.bytes, pass: (ms: number) => clock.pass(ms) });
});
