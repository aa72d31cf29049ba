/** Reports the progress of a long fetch to people. */
export interface ProgressReporter {
  /** Prints one line. */
  print(line: string): void;
  /** Reports that `done` of `total` bytes of `label` are complete. May be called thousands of times a second. */
  update(label: string, done: number, total: number): void;
  /** Ends the display of the last `update`, after a success or a failure. */
  end(): void;
}

interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** In characters. */
const BAR_WIDTH = 24;
/** Minimum time between two redraws, in milliseconds. */
const REDRAW_MS = 100;

/** Draws a bar on a terminal, and prints a line every 10 % elsewhere. `now` returns milliseconds. */
export function streamProgress(
  stream: OutputStream,
  now: () => number = () => performance.now(),
): ProgressReporter {
  return stream.isTTY === true ? barProgress(stream, now) : lineProgress(stream);
}

/** Formats bytes for people, in powers of 1000: `98 MB`, `1.3 GB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

function percentOf(done: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
}

function lineProgress(stream: OutputStream): ProgressReporter {
  let lastStep = -1;
  return {
    print: (line) => void stream.write(`${line}\n`),
    update(label, done, total) {
      const step = Math.floor(percentOf(done, total) / 10) * 10;
      if (step <= lastStep) return;
      lastStep = step;
      stream.write(`${label}: ${step} % of ${formatBytes(total)}\n`);
    },
    end() {
      lastStep = -1;
    },
  };
}

function barProgress(stream: OutputStream, now: () => number): ProgressReporter {
  let start: { at: number; done: number } | undefined;
  let drawnAt = -Infinity;
  let last = "";
  const clear = () => void stream.write("\r\u001B[K");
  return {
    print(line) {
      if (last !== "") clear();
      stream.write(`${line}\n${last}`);
    },
    update(label, done, total) {
      start ??= { at: now(), done };
      if (now() - drawnAt < REDRAW_MS && done < total) return;
      drawnAt = now();
      const filled = Math.round((percentOf(done, total) / 100) * BAR_WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
      const text = `${label} ${bar} ${percentOf(done, total)} % of ${formatBytes(total)}${pace(start, done, total, now())}`;
      last = text.slice(0, Math.max((stream.columns ?? 80) - 1, 20));
      clear();
      stream.write(last);
    },
    end() {
      if (last !== "") stream.write("\n");
      start = undefined;
      drawnAt = -Infinity;
      last = "";
    },
  };
}

/** Speed and time left, after the first half second. Bytes from before a resume are not counted. */
function pace(start: { at: number; done: number }, done: number, total: number, now: number): string {
  const seconds = (now - start.at) / 1000;
  const rate = (done - start.done) / seconds;
  if (seconds < 0.5 || rate <= 0) return "";
  return `, ${formatBytes(rate)}/s, ${Math.ceil((total - done) / rate)} s left`;
}
