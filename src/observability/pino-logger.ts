import { pino, type SerializerFn } from "pino";
import type { Logger } from "../core/logger.ts";
import { createLogDestination, type LogDestination } from "./log-destination.ts";

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Default: standard output. */
  readonly destination?: LogDestination;
}

/** The logger of the process. */
export interface ServiceLogger extends Logger {
  fatal(fields: object, message: string): void;
  /**
   * Waits up to `withinMs` milliseconds (default 1,000) until all lines are written. Never rejects. Await it before
   * exit.
   */
  flush(withinMs?: number): Promise<void>;
  /** Lines dropped because the reader of the log stalled or closed its end. */
  droppedLines(): number;
}

const MAX_MESSAGE_CHARS = 2_000;
const MAX_STACK_CHARS = 8_000;
const MAX_CAUSES = 4;

/**
 * Fields that are redacted in case a secret or a user's text is logged by mistake. Callers must still not pass them.
 */
const hiddenNames = [
  "token",
  "session",
  "secret",
  "password",
  "authorization",
  "cookie",
  "apiKey",
  "JWT_SECRET",
  "METRICS_TOKEN",
  "OPENAI_API_KEY",
  "HF_API_KEY",
  "message",
  "content",
  "text",
  "prompt",
  "context",
  "body",
];

const redactedPaths = [
  ...hiddenNames,
  ...hiddenNames.filter((name) => name !== "message").map((name) => `*.${name}`),
  "req.headers.authorization",
  "req.headers.cookie",
  "request.headers.authorization",
  "request.headers.cookie",
];

/**
 * Creates the JSON logger: one object per line, with `level` as a word, `time` in ISO 8601 and `msg`. Errors (`err`,
 * `error`) are reduced to type, code, message, stack and causes, because other properties set by libraries may contain
 * a user's text. A `url` is logged without its query.
 */
export function createPinoLogger({
  level,
  destination = createLogDestination(),
}: LoggerOptions): ServiceLogger {
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError, url: withoutQuery },
      redact: { paths: redactedPaths, censor: "(hidden)" },
    },
    destination,
  );
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    fatal: (fields, message) => log.fatal(fields, message),
    flush: (withinMs) => destination.flush(withinMs),
    droppedLines: () => destination.droppedLines(),
  };
}

/** The parts of an error that are logged. */
interface ErrorDescription {
  type: string;
  code?: string | number;
  message: string;
  stack?: string;
  cause?: ErrorDescription;
}

/** Describes any thrown value by type, code, message, stack and causes only. */
export function describeError(thrown: unknown, depth = 0): ErrorDescription {
  if (!(thrown instanceof Error))
    return { type: typeof thrown, message: cut(plainText(thrown), MAX_MESSAGE_CHARS) };
  const { code, cause } = thrown as { code?: unknown; cause?: unknown };
  const message = messageOf(thrown);
  return {
    type: thrown.name,
    ...((typeof code === "string" || typeof code === "number") && { code }),
    message: cut(message, MAX_MESSAGE_CHARS),
    ...(thrown.stack !== undefined && {
      stack: cut(stackOf(thrown.stack, thrown.message, message), MAX_STACK_CHARS),
    }),
    ...(cause !== undefined &&
      cause !== null &&
      depth < MAX_CAUSES && { cause: describeError(cause, depth + 1) }),
  };
}

/** JSON.parse quotes its input, which may be a user's message or an answer. */
function messageOf(error: Error): string {
  return error instanceof SyntaxError ? "(hidden: a syntax error quotes its input)" : error.message;
}

function stackOf(stack: string, original: string, shown: string): string {
  return original === "" || original === shown ? stack : stack.replace(original, () => shown);
}

function plainText(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  const plain = typeof thrown === "number" || typeof thrown === "boolean" || thrown === undefined;
  return plain ? String(thrown) : "(not an Error)";
}

function cut(text: string, chars: number): string {
  return text.length > chars ? `${text.slice(0, chars)}…` : text;
}

const withoutQuery: SerializerFn = (url: unknown) =>
  typeof url === "string" ? url.split("?", 1)[0] : "(hidden)";
