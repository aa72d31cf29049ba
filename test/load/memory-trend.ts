import { readFileSync } from "node:fs";

interface Sample {
  readonly seconds: number;
  readonly bytes: number;
}

/** Resident memory of a process in bytes, shared files included. @throws Error where it is gone or there is no /proc. */
export function residentBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (found === null) throw new Error(`process ${pid} has no resident memory`);
  return Number(found[1]) * 1024;
}

/** Whether something grows without end: the least-squares line through samples of its size. */
export class MemoryTrend {
  readonly #samples: Sample[] = [];

  add(seconds: number, bytes: number): void {
    this.#samples.push({ seconds, bytes });
  }

  /** Mean size from `seconds` on. */
  mean(seconds: number): number {
    const kept = this.#from(seconds);
    return kept.reduce((sum, { bytes }) => sum + bytes, 0) / Math.max(1, kept.length);
  }

  /** By how many bytes the line rises from `seconds` to the last sample; 0 with fewer than three. */
  growth(seconds: number): number {
    const kept = this.#from(seconds);
    const [first] = kept;
    const last = kept.at(-1);
    if (kept.length < 3 || first === undefined || last === undefined) return 0;
    const middle = kept.reduce((sum, sample) => sum + sample.seconds, 0) / kept.length;
    const mean = this.mean(seconds);
    let product = 0;
    let square = 0;
    for (const sample of kept) {
      product += (sample.seconds - middle) * (sample.bytes - mean);
      square += (sample.seconds - middle) ** 2;
    }
    return square === 0 ? 0 : (product / square) * (last.seconds - first.seconds);
  }

  #from(seconds: number): readonly Sample[] {
    return this.#samples.filter((sample) => sample.seconds >= seconds);
  }
}
