import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import buildOnce from "../../support/build-once.ts";
import { roomForSockets } from "../socket-room.ts";
import { drainLoad } from "./drain.ts";
import { overloadLoad } from "./overload.ts";

/** Load programs that drive the service from Node.js, without k6. */
export type NodeLoad = "drain" | "overload";

export function isNodeLoad(name: string | undefined): name is NodeLoad {
  return name === "drain" || name === "overload";
}

const USAGE_FAULT = 2;

/** Runs one of them with its options. Resolves with the exit code. @throws Error where an option is wrong. */
export async function nodeLoad(name: NodeLoad, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sockets: { type: "string", default: name === "drain" ? "5000" : "600" },
      answers: { type: "string", default: "200" },
      seconds: { type: "string", default: name === "drain" ? "10" : "60" },
    },
  });
  const sockets = whole("sockets", values.sockets);
  const seconds = whole("seconds", values.seconds);
  const answers = Math.min(whole("answers", values.answers), sockets);
  const lack = roomForSockets(sockets);
  if (lack !== null) {
    console.error(lack);
    return USAGE_FAULT;
  }
  buildOnce();
  console.log(
    `${name}; ${availableParallelism()} cores, load ${(loadavg()[0] ?? 0).toFixed(1)} before the run`,
  );
  return name === "drain"
    ? drainLoad({ sockets, answers, drainSeconds: seconds })
    : overloadLoad({ sockets, seconds });
}

/** @throws RangeError */
function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive whole number, not ${JSON.stringify(text)}.`);
}
