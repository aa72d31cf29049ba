import { isIP } from "node:net";
import { listenHost } from "./listen-host.ts";
import { networkSettings } from "./network-settings.ts";
import { canonicalOriginPattern } from "./origin-pattern.ts";
import { providerSettings } from "./provider-settings.ts";
import { headerKey } from "./remote-setting.ts";
import {
  anyText,
  autoInteger,
  choice,
  flag,
  integer,
  list,
  mappedList,
  number,
  optionalPath,
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

function isHost(word: string): boolean {
  return !/[\s/@?#*]/.test(word);
}

/** All settings, in the groups that the docs show. Each key is the name of an environment variable. */
export const settingGroups = {
  Server: {
    HOST: listenHost("127.0.0.1", "Address to listen on. The Docker images set 0.0.0.0."),
    PORT: integer(0, 65_535, 8000, {
      doc: "TCP port to listen on. 0 picks a free port, which is printed at start.",
    }),
    LOG_LEVEL: choice(["fatal", "error", "warn", "info", "debug", "trace", "silent"], "info", {
      doc: "Lowest level written to the JSON log on standard output. Message texts and secrets are never logged.",
    }),
    DRAIN_SECONDS: integer(0, 3600, 10, {
      doc: "Seconds after SIGTERM or SIGINT in which idle sockets are closed and running answers may finish. Then they are stopped.",
    }),
    IDLE_TIMEOUT_SECONDS: integer(8, 960, 120, {
      doc: "Seconds without traffic from a client, pongs included, before its socket is closed. The server sends the pings.",
    }),
    METRICS_TOKEN: headerKey({
      doc: "Bearer token for /metrics. Not set: /metrics is served to loopback addresses only.",
    }),
    UWS_SHA256: list(
      [],
      "comma-separated SHA-256 sums of 64 hexadecimal digits",
      {
        doc:
          "SHA-256 sums of additional uWebSockets.js binaries that may be loaded, such as an official build installed in " +
          "place of the packaged one. See docs/security.md.",
      },
      (word) => /^[0-9a-f]{64}$/.test(word),
    ),
  },
  Access: {
    ALLOW_ANONYMOUS: flag(true, {
      doc: "Whether /ws/chat accepts clients without a token. If not, their sockets are closed with 4401.",
    }),
    JWT_SECRET: optionalText({
      doc: "Secret that HS256 tokens are signed with, at least 32 bytes.",
      secret: true,
    }),
    JWT_PUBLIC_KEY: optionalText({
      doc: "Public key in PEM format. Its type selects RS256, ES256 or EdDSA. `\\n` is read as a line break.",
    }),
    JWT_PUBLIC_KEY_FILE: optionalPath({ doc: "Path of a file that holds the public key in PEM format." }),
    JWT_ISSUER: optionalText({ doc: "Value that the `iss` claim of tokens must have. Not set: any." }),
    JWT_AUDIENCE: optionalText({ doc: "Value that the `aud` claim of tokens must contain. Not set: any." }),
    MAX_CLIENT_WEIGHT: number(0.01, 1000, 10, {
      doc: "Upper bound of the `weight` claim of a token, which sets the client's share of the engine while requests wait.",
    }),
    CORS_ORIGINS: mappedList(
      "comma-separated origins such as https://chat.example.org, https://*.example.org or tauri://localhost, or *, or null",
      {
        doc:
          "Origins whose pages may connect, in addition to the server's own. `https://*.example.org`: all subdomains of " +
          "example.org, but not itself. `tauri://localhost`, `capacitor://localhost`, `chrome-extension://…` and the like: " +
          "apps and extensions; `moz-extension://*`: every extension of that scheme. `null`: pages that a browser opened " +
          "from disk, and sandboxed frames. `file://`: pages of apps that send this origin (Electron, Cordova).",
      },
      canonicalOriginPattern,
    ),
    ALLOWED_HOSTS: list(
      [],
      "comma-separated host names such as chat.example.org, without scheme, path or *",
      {
        doc:
          "Host names accepted in the Host header; ports are ignored. On a loopback address IP literals and localhost are " +
          "always accepted, and other names only if listed. On other addresses the list is enforced only if it is set.",
      },
      isHost,
    ),
    TRUSTED_PROXIES: list(
      [],
      "comma-separated addresses or CIDR ranges",
      {
        doc: "Proxies whose X-Forwarded-For header is trusted. Not set: all clients behind a proxy share one address.",
      },
      isCidr,
    ),
  },
  Network: networkSettings,
  Providers: providerSettings,
  "Local model": {
    MODEL_PATH: optionalPath({
      doc: "Path of a GGUF file; the first part of a split model. Not set: models/ is searched, and LOCAL_MODEL is downloaded if nothing is found.",
    }),
    LOCAL_MODEL: text("tinyllama-1.1b-chat", {
      doc: "Model to use, by its name in models/models.json. It is downloaded if it is missing.",
    }),
    MODEL_DOWNLOAD: flag(true, { doc: "Whether a missing model may be downloaded at start." }),
    LOCAL_SLOTS: autoInteger(1, 256, {
      doc: "Number of answers generated at the same time. `auto` derives it from the free memory.",
    }),
    LOCAL_CONTEXT_SIZE: autoInteger(256, 1_048_576, {
      doc: "Context window of a slot in tokens, prompt and answer together.",
    }),
    LOCAL_THREADS: autoInteger(1, 1024, { doc: "Number of CPU threads for inference." }),
    GPU: choice(["auto", "off", "cuda", "vulkan", "metal"], "auto", {
      doc: "`auto` uses a GPU if its binaries are installed (npm run gpu), otherwise the CPU. A named kind of GPU must work.",
    }),
    LOCAL_MAX_TICK_MS: integer(20, 10_000, 250, {
      doc: "Maximum milliseconds of an engine step while prompts are processed. Running answers may skip steps for short prompts.",
    }),
    LOCAL_ITL_TARGET_MS: integer(5, 10_000, 100, {
      doc: "Target milliseconds between two tokens of an answer while prompts of other requests are processed.",
    }),
    LOCAL_LOOKUP: flag(true, {
      doc:
        "Whether to use prompt lookup while an answer runs alone: the engine guesses that it repeats earlier text (copies, " +
        "corrections), and the model checks several tokens in one step.",
    }),
    LOCAL_QUEUE_LIMIT: integer(1, 65_536, 4096, {
      doc:
        "Maximum number of requests waiting for a slot, also of the echo provider. A quarter of the places is reserved for " +
        "authenticated clients. In a full queue, the client or address with the most waiting requests gets `overloaded` " +
        "for its newest one.",
    }),
    ENGINE_STALL_SECONDS: integer(1, 86_400, 30, {
      doc: "Seconds without progress after which a busy engine is killed and restarted, but at least the time of 20 of its steps.",
    }),
    LOCAL_KV_CACHE_MB: integer(0, 1_048_576, 512, {
      doc:
        "MiB for stored KV states: of conversations that lost their slot, and of texts that prompts share. They are files " +
        "in /dev/shm and use at most 90 % of its free space and a quarter of free memory. 0: none are stored.",
    }),
  },
  Chat: {
    SYSTEM_PROMPT: anyText("You are a helpful assistant.", {
      doc: "System prompt of every conversation. It may be empty.",
    }),
    MAX_OUTPUT_TOKENS: integer(1, 1_048_576, 512, {
      doc: "Maximum tokens of an answer, and the default for messages that set no number. A higher number is rejected.",
    }),
    MAX_MESSAGE_CHARS: integer(1, 1_000_000, 32_000, {
      doc: "Maximum characters of a message. Longer messages are rejected.",
    }),
  },
  Limits: {
    MAX_CONNECTIONS: integer(1, 1_000_000, 10_000, {
      doc: "Maximum number of open sockets. Further sockets are closed with 1013.",
    }),
    MAX_CONNECTIONS_PER_ADDRESS: integer(1, 1_000_000, 1000, {
      doc: "Maximum open sockets per IP address (IPv6: /64 network). Further ones are closed with 1013. An office may share one address.",
    }),
    MAX_HTTP_CONNECTIONS: integer(1, 1_000_000, 4096, {
      doc: "Maximum number of open connections without a WebSocket. Further ones are closed.",
    }),
    MAX_HTTP_REQUESTS_PER_MINUTE: integer(1, 10_000_000, 1200, {
      doc: "Maximum HTTP requests per minute and IP address. All of them may come in one burst. Further ones get 429.",
    }),
    MAX_UPGRADES_PER_MINUTE: integer(1, 1_000_000, 1200, {
      doc: "Maximum new sockets per minute and IP address, refused ones included. Further sockets are closed with 1013.",
    }),
    MAX_CONNECTIONS_PER_CLIENT: integer(1, 100_000, 32, {
      doc: "Maximum open sockets per client (the token's `sub`, or an anonymous session). See ON_CLIENT_LIMIT.",
    }),
    ON_CLIENT_LIMIT: choice(["refuse", "replace"], "refuse", {
      doc:
        "What happens to a socket over MAX_CONNECTIONS_PER_CLIENT. `refuse` closes it with 1013. `replace` accepts it and " +
        "closes the client's oldest socket with 4409.",
    }),
    MAX_FRAMES_PER_SECOND: integer(1, 100_000, 50, {
      doc: "Maximum frames per second and socket, `ack` excluded; bursts may be twice as large. Excess frames are `rate_limited`.",
    }),
    MAX_ACKS_PER_SECOND: integer(1, 100_000, 500, {
      doc: "Maximum `ack` frames per second and socket; bursts may be twice as large. Excess frames are `rate_limited`.",
    }),
    MAX_MESSAGES_PER_MINUTE: integer(1, 1_000_000, 120, {
      doc: "Maximum messages and commands per minute and client, in one burst or spread out. Excess ones are `rate_limited`.",
    }),
    MAX_MESSAGES_PER_MINUTE_PER_ADDRESS: integer(1, 10_000_000, 3000, {
      doc: "The same limit for all anonymous clients of one IP address together, since a client can open any number of sessions.",
    }),
    RATE_LIMITS: flag(true, {
      doc:
        "`off` lifts the limits on frames, acks, messages, upgrades, HTTP requests and replayed text, and all limits per " +
        "address. For load tests.",
    }),
    MAX_FRAME_BYTES: integer(1024, 4 * MIB, 65_536, {
      doc: "Maximum bytes of a frame from a client. A larger frame closes the socket with 1009.",
    }),
    MAX_BAD_FRAMES: integer(1, 100_000, 20, {
      doc: "Maximum invalid frames per minute and socket. The next one closes the socket with 1008.",
    }),
    MAX_PENDING_MESSAGES: integer(1, 1000, 16, {
      doc: "Maximum waiting messages per conversation. Further messages are refused with `busy`.",
    }),
    MAX_ACTIVE_ANSWERS_PER_CLIENT: integer(1, 10_000, 4, {
      doc: "Maximum conversations per client with a running or waiting answer. Messages in others are refused with `busy`.",
    }),
    MAX_CONVERSATIONS_PER_CLIENT: integer(1, 100_000, 100, {
      doc: "Maximum conversations kept per client. Beyond it, the client's least recently used conversation is evicted.",
    }),
    MAX_UNACKED_BYTES: integer(1024, 64 * MIB, 65_536, {
      doc:
        "Maximum bytes of an answer that are sent but not yet acknowledged, for clients that send `ack`. Sending then pauses " +
        "until the next `ack`. Other clients are limited by their socket only.",
    }),
    MAX_REPLAY_BYTES_PER_SECOND: integer(1024, 1024 * MIB, 4 * MIB, {
      doc:
        "Maximum bytes per second that are sent again (histories, resumed or joined answers, results of commands without a " +
        "model) to one client or address, with bursts of two seconds. All addresses of one network share the rate of one " +
        "address. All anonymous clients together get twice the rate, all subjects four times. Excess bytes are delayed.",
    }),
    MAX_ANSWER_BYTES: integer(1024, 64 * MIB, MIB, {
      doc: "Maximum bytes of an answer. A longer answer ends with `length`.",
    }),
  },
  Memory: {
    SESSION_RETENTION_SECONDS: integer(1, 31_536_000, 86_400, {
      doc: "Seconds that a session, and the context of an anonymous client, are kept after the last socket has closed.",
    }),
    MAX_SESSIONS: integer(1, 10_000_000, 200_000, {
      doc: "Maximum sessions kept. Beyond it, the address with the most sessions loses its oldest one without a socket.",
    }),
    ANSWER_RETENTION_SECONDS: integer(1, 86_400, 120, {
      doc: "Seconds for which a finished answer can still be joined or resumed.",
    }),
    ANSWER_BUDGET_MB: integer(1, 1_048_576, 256, {
      doc:
        "MiB for answers. Finished answers of the client that holds the most are evicted first. If running answers use over " +
        "three quarters, new messages are `overloaded`; if they use all of it, growing answers end with `length`.",
    }),
    MAX_BUFFERED_MB: integer(1, 1_048_576, 512, {
      doc:
        "MiB of data waiting for slow readers, over all sockets. Above 80 % of it, sockets that have sent nothing for 5 s are " +
        "cut; if that is not enough, new messages are refused with `overloaded`. Above all of it, or a quarter of it for one " +
        "address, the socket that holds the most is cut; its client can reconnect and resume. An eighth of it, at " +
        "least 4 MiB, is for frames that arrive faster than they can be handled.",
    }),
    ABANDON_SECONDS: integer(1, 86_400, 15, {
      doc: "Seconds after which an answer is stopped if no client watches it or reads its bytes.",
    }),
    HISTORY_BUDGET_MB: integer(1, 1_048_576, 256, {
      doc: "MiB for histories. If full, the least recently used history of the client that holds the most is evicted.",
    }),
    MAX_HISTORY_BYTES: integer(1024, 4 * MIB, 131_072, {
      doc: "Maximum bytes of text kept per conversation. Beyond it, the older half is dropped.",
    }),
    HISTORY_TTL_SECONDS: integer(1, 31_536_000, 604_800, {
      doc: "Seconds after which an unused conversation is deleted.",
    }),
    CONTEXT_BUDGET_MB: integer(1, 1_048_576, 64, {
      doc: "MiB for the contexts of authenticated clients. If full, new contexts are refused.",
    }),
    ANONYMOUS_CONTEXT_BUDGET_MB: integer(1, 1_048_576, 64, {
      doc: "MiB for the contexts of anonymous clients. If full, new contexts are refused.",
    }),
  },
} as const satisfies Record<string, Record<string, Setting<unknown>>>;

type Groups = typeof settingGroups;
type Flat = { [G in keyof Groups]: Groups[G] }[keyof Groups];
type KeysOf<U> = U extends unknown ? keyof U : never;
type ValueOf<U, K extends PropertyKey> = U extends Record<K, Setting<infer T>> ? T : never;

/** Values of all settings, by the name of their environment variable. */
export type Config = { readonly [K in KeysOf<Flat>]: ValueOf<Flat, K> };

/** All settings by name, without groups. */
export const settings: Readonly<Record<keyof Config, Setting<unknown>>> = Object.assign(
  {},
  ...Object.values(settingGroups),
) as Record<keyof Config, Setting<unknown>>;
