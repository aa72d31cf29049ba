import { printable } from "./model-file.ts";

/** How the start of an engine ended that could not load its model. */
export interface FailedLoad {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The engine's own reason, if it reported one. */
  readonly reported: string | undefined;
  /** Last lines of its standard error, oldest first. */
  readonly lines: readonly string[];
}

/** Wrappers that the library prints around a cause. */
const WRAPPERS =
  /^(error loading model( architecture| hyperparameters| vocabulary)?|failed to load model|[a-z]+_\w+): */i;

/** Lines with a cause, the most specific first. Group 1 is the cause. */
const causes: readonly RegExp[] = [
  /error loading model: (.+)$/,
  /(GGML_ASSERT\(.+\) failed.*)$/,
  /((?:failed|unable) to allocate .+)$/,
  /((?:failed|unable) to (?:mmap|mlock) .+)$/,
  /((?:failed to (?:open|read)|gguf_init_from_file\w*:) .+)$/,
  /(terminate called .+|.*std::bad_alloc.*|.*out of memory.*)$/i,
];

/** What to do, by words of the cause. The first match counts. */
const advice: ReadonlyArray<readonly [cause: RegExp, advice: string]> = [
  [
    /alloc|out of memory|insufficient memory|not enough memory|ENOMEM|mmap|mlock/i,
    "Use a smaller model or a stronger quantization, lower LOCAL_SLOTS, or free memory.",
  ],
  [/split/i, "Keep all parts of the model in one folder under their own names, and name the first one."],
  [
    /file bounds|corrupt|incomplete|unexpected(ly)? (end|reached)|failed to read|magic|wrong (shape|number)|tensors expected/i,
    "The file is damaged or was not copied whole: download or copy it again.",
  ],
  [
    /(unknown|unsupported) (model architecture|pre-tokenizer)|unsupported|unknown|not supported/i,
    "The installed version of node-llama-cpp does not support this model: update it, or use another file.",
  ],
  [
    /not found|missing|cannot find/i,
    "The file lacks a part of the model: convert it again with a recent llama.cpp, or use another file.",
  ],
  [/permission|EACCES|EPERM|failed to open/i, "Check that the service may read the file."],
];
const DEFAULT_ADVICE = "Check that it is a complete GGUF file of a chat model.";
const CRASH_ADVICE = "The model file may be damaged; the log has the last lines of the engine.";
const KILLED = "The system may have run out of memory: use a smaller model or fewer LOCAL_SLOTS.";

/** Cause of a failed load as the library printed it, or else as the engine reported it, and what to do. */
export function describeFailedLoad({ code, signal, reported, lines }: FailedLoad): string {
  const ended = `the engine process ended while it loaded the model (${signal ?? `exit code ${code}`})`;
  const printed = printedCause(lines.map(printable));
  const cause = printed ?? reported ?? ended;
  const crash = reported === undefined && printed !== undefined ? ` (${signal ?? `exit code ${code}`})` : "";
  return `${withoutStop(cause)}${crash}. ${adviceFor(cause, signal, reported === undefined)}`;
}

/** The cause of a failed load among the lines that the library printed; undefined where none of them has one. */
function printedCause(lines: readonly string[]): string | undefined {
  for (const pattern of causes) {
    for (const line of lines.toReversed()) {
      const cause = pattern.exec(line)?.[1];
      if (cause !== undefined) return unwrapped(cause.trim());
    }
  }
  return undefined;
}

function unwrapped(cause: string): string {
  let inner = cause;
  while (WRAPPERS.test(inner)) inner = inner.replace(WRAPPERS, "");
  return inner === "" ? cause : inner;
}

function adviceFor(cause: string, signal: NodeJS.Signals | null, crashed: boolean): string {
  if (signal === "SIGKILL") return KILLED;
  return advice.find(([words]) => words.test(cause))?.[1] ?? (crashed ? CRASH_ADVICE : DEFAULT_ADVICE);
}

function withoutStop(text: string): string {
  return text.replace(/[.\s]+$/, "");
}
