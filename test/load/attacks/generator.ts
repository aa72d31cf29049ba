import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { AttackPlan } from "./attack.ts";
import type { GeneratorCommand, GeneratorReply } from "./generator-main.ts";

/** What an attack sent and received. */
export interface AttackCounts {
  /** Bytes. */
  readonly sent: number;
  readonly received: number;
  /** Connections. */
  readonly opened: number;
}

/** The attackers, in a process of their own. */
export interface Generator {
  /** Runs an attack on the service at `port`. */
  attack(name: string, port: number, plan: AttackPlan): Promise<AttackCounts>;
  /** Repeats the last attack with the same connections, bytes and times on the server at `port`. */
  replay(port: number): Promise<AttackCounts>;
  stop(): void;
}

/** Starts the process of the attackers. It exits together with this process. */
export function startGenerator(): Generator {
  const child = fork(fileURLToPath(new URL("generator-main.ts", import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const execute = (command: GeneratorCommand): Promise<AttackCounts> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void =>
        reject(new Error(`the generator of attacks exited with code ${code}`));
      child.once("exit", ended);
      child.once("message", (reply: GeneratorReply) => {
        child.off("exit", ended);
        if (reply.type === "failed") reject(new Error(reply.message));
        else resolve(reply);
      });
      child.send(command);
    });
  return {
    attack: (name, port, plan) => execute({ type: "attack", name, port, ...plan }),
    replay: (port) => execute({ type: "replay", port }),
    stop: () => void child.kill("SIGKILL"),
  };
}
