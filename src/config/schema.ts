import { isIP } from "node:net";
import { providerSettings } from "./provider-settings.ts";
import {
  anyText,
  autoInteger,
  choice,
  flag,
  integer,
  list,
  number,
  optionalText,
  text,
  type Setting,
} from "./setting.ts";

const MIB = 1_048_576;

function isCidr(word: string): boolean {
  const [address, bits, ...rest] = word.split("/");
  const family = isIP(address ?? "");
  if (family === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function isOrigin(word: string): boolean {
  if (word === "*" || word === "null") return true;
  return URL.canParse(word) && new URL(word).origin === word;
}

function isHost(word: string): boolean {
  return !/[\s/@?#*]/.test(word);
}

/** All settings in groups, as the docs print them. The key is the environment variable. */
export const settingGroups = {
  Server: {
    HOST: text("127.0.0.1", { doc: "Address to listen on. The images set 0.0.0.0." }),
    PORT: integer(0, 65_535, 8000, { doc: "TCP port; 0 takes any free one and prints it." }),
    LOG_LEVEL: choice(["fatal", "error", "warn", "info", "debug", "trace", "silent"], "info", {
      doc: "Level of the JSON log on standard output. Bodies of messages and secrets are never logged.",
    }),
    DRAIN_SECONDS: integer(0, 3600, 10, {
      doc: "On SIGTERM or SIGINT idle sockets are closed over this time, and running answers may go on for as long.",
    }),
    IDLE_TIMEOUT_SECONDS: integer(8, 960, 120, {
      doc: "A socket that receives nothing this long, not even a pong, is closed. The server pings by itself.",
    }),
    METRICS_TOKEN: optionalText({
      doc: "Bearer token for /metrics. Without one /metrics answers only loopback addresses.",
      secret: true,
    }),
    UWS_SHA256: list(
      [],
      "comma-separated SHA-256 sums of 64 hexadecimal digits",
      {
        doc:
          "Sums of further uWebSockets.js binaries that may be loaded, such as an official build that was put in place of " +
          "the packaged one; see docs/security.md.",
      },
      (word) => /^[0-9a-f]{64}$/.test(word),
    ),
  },
  "Who may connect": {
    ALLOW_ANONYMOUS: flag(true, { doc: "Whether /ws/chat takes clients without a token (false: 4401)." }),
    JWT_SECRET: optionalText({ doc: "HS256 secret, at least 32 bytes.", secret: true }),
    JWT_PUBLIC_KEY: optionalText({
      doc: "Public key in PEM (RS256, ES256 or EdDSA by its kind); `\\n` is taken as a new line.",
    }),
    JWT_PUBLIC_KEY_FILE: optionalText({ doc: "File with the public key in PEM." }),
    JWT_ISSUER: optionalText({ doc: "When set, tokens must carry this `iss`." }),
    JWT_AUDIENCE: optionalText({ doc: "When set, tokens must carry this `aud`." }),
    MAX_CLIENT_WEIGHT: number(0.01, 1000, 10, {
      doc: "Most that the claim `weight` of a token counts for: its client's share of the engine beside others who wait.",
    }),
    CORS_ORIGINS: list(
      [],
      "comma-separated origins such as https://chat.example.org, or *, or null",
      { doc: "Origins besides the server's own whose pages may connect. `null`: pages opened from disk." },
      isOrigin,
    ),
    ALLOWED_HOSTS: list(
      [],
      "comma-separated host names such as chat.example.org, without scheme, path or *",
      {
        doc:
          "Names by which the server may be called (Host header; ports do not count). On a loopback address IP literals and " +
          "localhost are always taken, others only from this list; on other addresses the list is enforced once set.",
      },
      isHost,
    ),
    TRUSTED_PROXIES: list(
      [],
      "comma-separated addresses or CIDR ranges",
      {
        doc: "Proxies whose X-Forwarded-For is believed; behind one, without this, everybody has one address.",
      },
      isCidr,
    ),
  },
  Providers: providerSettings,
  "Local model": {
    MODEL_PATH: optionalText({
      doc: "A GGUF file; otherwise models/ is searched and the default model fetched.",
    }),
    LOCAL_MODEL: text("tinyllama-1.1b-chat", {
      doc: "Entry of models/models.json to use and, if absent, to fetch.",
    }),
    MODEL_DOWNLOAD: flag(true, { doc: "Whether a missing model may be fetched at start." }),
    LOCAL_SLOTS: autoInteger(1, 256, { doc: "Answers generated at the same time." }),
    LOCAL_CONTEXT_SIZE: autoInteger(256, 1_048_576, { doc: "Tokens per slot, prompt and answer together." }),
    LOCAL_THREADS: autoInteger(1, 1024, { doc: "Threads for inference." }),
    GPU: choice(["auto", "off", "cuda", "vulkan", "metal"], "auto", {
      doc: "`auto` takes a GPU whose binaries are installed (npm run gpu) and else the CPU; a named one must work.",
    }),
    LOCAL_MAX_TICK_MS: integer(20, 10_000, 250, {
      doc: "Longest step of the engine while prompts are processed; beside short ones answers may leave out steps.",
    }),
    LOCAL_ITL_TARGET_MS: integer(5, 10_000, 100, {
      doc: "Aim for the time between two tokens of an answer while prompts of others are processed.",
    }),
    LOCAL_LOOKUP: flag(true, {
      doc:
        "While an answer runs alone, whether the engine guesses that it goes on like earlier text (copies, corrections) " +
        "and has the model check several tokens in one step.",
    }),
    LOCAL_QUEUE_LIMIT: integer(1, 65_536, 4096, {
      doc: "Requests that may wait for a slot (of echo too); the next is `overloaded`.",
    }),
    ENGINE_STALL_SECONDS: integer(1, 86_400, 30, {
      doc: "An engine that has work and does not move this long, nor for 20 of its steps, is killed and started again.",
    }),
    LOCAL_KV_CACHE_MB: integer(0, 1_048_576, 512, {
      doc:
        "Memory for the model's state of conversations that lost their slot, and of texts that prompts share (files in " +
        "/dev/shm). At most 90 % of what is free there and a quarter of free memory; 0: none are kept.",
    }),
  },
  Chat: {
    SYSTEM_PROMPT: anyText("You are a helpful assistant.", {
      doc: "System text of every conversation; may be empty.",
    }),
    MAX_OUTPUT_TOKENS: integer(1, 1_048_576, 512, {
      doc: "Most tokens of an answer, and the number when a message names none. More is an error, not a clamp.",
    }),
    MAX_MESSAGE_CHARS: integer(1, 1_000_000, 32_000, { doc: "Longest message in characters." }),
  },
  Limits: {
    MAX_CONNECTIONS: integer(1, 1_000_000, 10_000, { doc: "Sockets in all; the next is closed with 1013." }),
    MAX_CONNECTIONS_PER_ADDRESS: integer(1, 1_000_000, 1000, {
      doc: "Sockets of one address (IPv6: of one /64); the next is closed with 1013. An office may share one address.",
    }),
    MAX_UPGRADES_PER_MINUTE: integer(1, 1_000_000, 1200, {
      doc: "New sockets of one address in a minute, refused ones included; the next is closed with 1013.",
    }),
    MAX_CONNECTIONS_PER_CLIENT: integer(1, 100_000, 32, {
      doc: "Sockets of one client (the token's `sub`, or an anonymous session); see ON_CLIENT_LIMIT.",
    }),
    ON_CLIENT_LIMIT: choice(["refuse", "replace"], "refuse", {
      doc:
        "What happens to a socket over MAX_CONNECTIONS_PER_CLIENT: `refuse` closes it with 1013, `replace` takes it and " +
        "closes the client's oldest one with 4409.",
    }),
    MAX_FRAMES_PER_SECOND: integer(1, 100_000, 50, {
      doc: "Frames a second of one socket, twice as many at once; more are `rate_limited`. `ack` frames do not count.",
    }),
    MAX_ACKS_PER_SECOND: integer(1, 100_000, 500, {
      doc: "`ack` frames a second of one socket, twice as many at once; more are `rate_limited`.",
    }),
    MAX_MESSAGES_PER_MINUTE: integer(1, 1_000_000, 120, {
      doc: "Messages and commands a minute of one client, as many at once; more are `rate_limited`.",
    }),
    MAX_MESSAGES_PER_MINUTE_PER_ADDRESS: integer(1, 10_000_000, 3000, {
      doc: "The same for all anonymous clients of one address together: sessions are free to make, addresses are not.",
    }),
    RATE_LIMITS: flag(true, {
      doc: "`off`, for load tests: no limits of frames, acks, messages, upgrades and replayed text, and none per address.",
    }),
    MAX_FRAME_BYTES: integer(1024, 4 * MIB, 65_536, {
      doc: "Largest frame of a client; a larger one closes with 1009.",
    }),
    MAX_BAD_FRAMES: integer(1, 100_000, 20, {
      doc: "Bad frames in a minute; the next closes the socket with 1008.",
    }),
    MAX_PENDING_MESSAGES: integer(1, 1000, 16, {
      doc: "Messages of one conversation that may wait; the next is `busy`.",
    }),
    MAX_ACTIVE_ANSWERS_PER_CLIENT: integer(1, 10_000, 4, {
      doc: "Conversations of one client that may have an answer running or waiting at a time; the next is `busy`.",
    }),
    MAX_CONVERSATIONS_PER_CLIENT: integer(1, 100_000, 100, {
      doc: "Conversations kept per client; the least recently used one of that client makes room.",
    }),
    MAX_UNACKED_BYTES: integer(1024, 64 * MIB, 65_536, {
      doc:
        "Text of an answer that may be on its way to a client that sends `ack`: it is sent no more until it has shown " +
        "some. A client that sends none is held back by its socket alone.",
    }),
    MAX_REPLAY_BYTES_PER_SECOND: integer(1024, 1024 * MIB, 4 * MIB, {
      doc:
        "Text of answers that is sent again (resumed, or joined by id) to one client or address, twice as much at once; " +
        "the rest comes later.",
    }),
    MAX_ANSWER_BYTES: integer(1024, 64 * MIB, MIB, { doc: "Longest answer in bytes." }),
  },
  Memory: {
    SESSION_RETENTION_SECONDS: integer(1, 31_536_000, 86_400, {
      doc: "How long a session, and an anonymous client's context, outlive the last socket.",
    }),
    MAX_SESSIONS: integer(1, 10_000_000, 200_000, {
      doc: "Sessions kept; past it the address with the most loses its oldest one without a socket.",
    }),
    ANSWER_RETENTION_SECONDS: integer(1, 86_400, 120, {
      doc: "How long a finished answer can still be joined or resumed.",
    }),
    ANSWER_BUDGET_MB: integer(1, 1_048_576, 256, {
      doc:
        "Memory for answers; finished ones of whoever holds most make room. While running ones hold over three quarters, " +
        "new messages are `overloaded`; when they fill it, those that grow end with `length`.",
    }),
    MAX_BUFFERED_MB: integer(1, 1_048_576, 512, {
      doc: "Bytes that wait for slow readers in all sockets together; above it new messages are `overloaded`.",
    }),
    ABANDON_SECONDS: integer(1, 86_400, 15, {
      doc: "An answer that nobody watches, or whose bytes nobody takes, is stopped after this time.",
    }),
    HISTORY_BUDGET_MB: integer(1, 1_048_576, 256, {
      doc: "Memory for histories; the least recently used one of whoever holds most makes room.",
    }),
    MAX_HISTORY_BYTES: integer(1024, 4 * MIB, 131_072, {
      doc: "Text kept of one conversation; past it the older half goes. Far above a local model's window.",
    }),
    HISTORY_TTL_SECONDS: integer(1, 31_536_000, 604_800, {
      doc: "A conversation unused this long is forgotten.",
    }),
    CONTEXT_BUDGET_MB: integer(1, 1_048_576, 64, {
      doc: "Memory for contexts of authenticated clients; full: refused.",
    }),
    ANONYMOUS_CONTEXT_BUDGET_MB: integer(1, 1_048_576, 64, {
      doc: "Memory for contexts of anonymous clients; full: refused.",
    }),
  },
} as const satisfies Record<string, Record<string, Setting<unknown>>>;

type Groups = typeof settingGroups;
type Flat = { [G in keyof Groups]: Groups[G] }[keyof Groups];
type KeysOf<U> = U extends unknown ? keyof U : never;
type ValueOf<U, K extends PropertyKey> = U extends Record<K, Setting<infer T>> ? T : never;

/** The settings in force, by the name of their environment variable. */
export type Config = { readonly [K in KeysOf<Flat>]: ValueOf<Flat, K> };

/** All settings by name, without their groups. */
export const settings: Readonly<Record<keyof Config, Setting<unknown>>> = Object.assign(
  {},
  ...Object.values(settingGroups),
) as Record<keyof Config, Setting<unknown>>;
