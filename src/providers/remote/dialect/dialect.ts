import type { CompletionBody } from "./completion-body.ts";
import type { OwnParameter, Refusal, RefusalKind, SamplingParameter } from "./refusal.ts";
import { anyTokens, statedRange, statedRoom, type TokenRange } from "./stated-range.ts";

/** Differences between compatible servers. Starts with {@link firstDialect}; {@link adaptDialect} finds the others. */
export interface Dialect {
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
  /** Values that are sent as token limit. Shorter answers are cut by this service. */
  readonly tokenRange: TokenRange;
  readonly schema: "response_format" | "prompt";
  /** Whether `stream_options.include_usage` is sent. */
  readonly streamUsage: boolean;
  /** Maximum number of stop texts that are sent. All of them are also applied to the answer. */
  readonly maxStops: number;
  /**
   * Sampling parameters that are omitted because the server rejects them: an answer without them is better than none.
   */
  readonly omit: readonly SamplingParameter[];
  /**
   * Roles that the model's template accepts. `alternating`: adjacent turns of one role are joined. `no_system`: the
   * system text is also put in front of the first user turn.
   */
  readonly roles: "all" | "alternating" | "no_system";
}

/** OpenAI rejects more stop texts. */
const MAX_STOP_TEXTS = 4;

export const firstDialect: Dialect = {
  tokenLimit: "max_tokens",
  tokenRange: anyTokens,
  schema: "response_format",
  streamUsage: true,
  maxStops: MAX_STOP_TEXTS,
  omit: [],
  roles: "all",
};

/** A change of the dialect after a refusal. */
export interface DialectChange {
  /** For all requests to this server. */
  readonly lasting: Partial<Dialect>;
  /** For this request only, because the refusal depends on its content. */
  readonly once: Partial<Dialect>;
}

/** Text that identifies a dialect. */
export function dialectKey(dialect: Dialect): string {
  return JSON.stringify([...Object.entries(dialect)].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Words of a refusal that concerns the prompt, and not the token limit alone. */
const PROMPT_NAMED = /\b(context|prompt|inputs?|messages)\b/i;

interface Refused {
  readonly dialect: Dialect;
  readonly body: CompletionBody;
  readonly refusal: Refusal;
}

type Adjustment = (refused: Refused) => Partial<Dialect> | null;

/** What changes when the server refuses one of the parameters by its name, or the value of one. */
interface Difference {
  readonly parameters: readonly OwnParameter[];
  readonly onName: Adjustment;
  readonly onValue: Adjustment;
  /** Whether a change because of a value is kept. */
  readonly valueLasts: boolean;
}

const none: Adjustment = () => null;

const schemaInPrompt: Adjustment = () => ({ schema: "prompt" });
const withoutUsage: Adjustment = () => ({ streamUsage: false });

function sentLimit({ body }: Refused): number {
  return body.max_tokens ?? body.max_completion_tokens ?? 0;
}

const limitInRange: Adjustment = (refused) => {
  const { dialect, refusal } = refused;
  const stated = statedRange(refusal.text, sentLimit(refused));
  if (stated === null) return null;
  const min = Math.max(stated.min, dialect.tokenRange.min);
  const max = Math.min(stated.max, dialect.tokenRange.max);
  return min > max ? null : { tokenRange: { min, max } };
};

/** A stated range outweighs the words for a name: "not supported above 4096". */
const otherLimitName: Adjustment = (refused) =>
  limitInRange(refused) ?? {
    tokenLimit: refused.dialect.tokenLimit === "max_tokens" ? "max_completion_tokens" : "max_tokens",
  };

/** The limit for a prompt that leaves too little of the window. Other prompts may leave more. */
function smallerLimit(refused: Refused): Partial<Dialect> | null {
  const { text, parameters } = refused.refusal;
  const room = statedRoom(text, sentLimit(refused));
  if (room !== null) return { tokenRange: { min: 1, max: room } };
  return parameters.has(refused.dialect.tokenLimit) ? limitInRange(refused) : null;
}

function omitting(name: SamplingParameter): Adjustment {
  return ({ dialect }) => (dialect.omit.includes(name) ? null : { omit: [...dialect.omit, name] });
}

/** Stop texts are also applied to the answer, so the server needs none of them. */
const fewerStops: Adjustment = (refused) => {
  const sent = refused.body.stop?.length ?? 0;
  const stated = statedRange(refused.refusal.text, sent);
  return stated !== null && stated.max < sent ? { maxStops: stated.max } : omitting("stop")(refused);
};

/** A value of these is the client's own: values of other clients may be accepted. */
function sampling(name: Exclude<SamplingParameter, "stop">): Difference {
  return { parameters: [name], onName: omitting(name), onValue: none, valueLasts: false };
}

/** Everything that is learned about parameters. `docs/providers.md` describes these rows. */
const differences: readonly Difference[] = [
  {
    parameters: ["response_format", "json_schema"],
    onName: schemaInPrompt,
    onValue: schemaInPrompt,
    valueLasts: false,
  },
  { parameters: ["stream_options"], onName: withoutUsage, onValue: withoutUsage, valueLasts: true },
  {
    parameters: ["max_tokens", "max_completion_tokens"],
    onName: otherLimitName,
    onValue: limitInRange,
    valueLasts: true,
  },
  { parameters: ["stop"], onName: omitting("stop"), onValue: fewerStops, valueLasts: true },
  sampling("temperature"),
  sampling("top_p"),
  sampling("seed"),
];

function isSent(name: OwnParameter, body: CompletionBody): boolean {
  return name === "json_schema" ? "response_format" in body : name in body;
}

/** How the refusal concerns a difference: the name outweighs the value. Undefined: not at all. */
function kindOf({ parameters }: Difference, { body, refusal }: Refused): RefusalKind | undefined {
  const kinds = parameters
    .filter((name) => isSent(name, body))
    .map((name) => refusal.parameters.get(name))
    .filter((kind) => kind !== undefined);
  return kinds.includes("name") ? "name" : kinds[0];
}

/** The roles to try next. Joining turns comes first if that changes anything: it keeps the system message. */
function adaptedRoles({ dialect, body, refusal }: Refused): Partial<Dialect> | null {
  const { messages } = body;
  if (refusal.roles === undefined || dialect.roles === "no_system") return null;
  const hasNeighbours = messages.some(({ role }, index) => role === messages[index - 1]?.role);
  if (refusal.roles === "order" && hasNeighbours) return { roles: "alternating" };
  return messages[0]?.role === "system" ? { roles: "no_system" } : null;
}

/**
 * The change to try after a server refused a request, or null if nothing is left to change.
 *
 * @param body the request that was refused
 */
export function adaptDialect(dialect: Dialect, refusal: Refusal, body: CompletionBody): DialectChange | null {
  const refused = { dialect, refusal, body };
  if (refusal.tooLong && PROMPT_NAMED.test(refusal.text)) {
    const once = smallerLimit(refused);
    return once && { lasting: {}, once };
  }
  const roles = adaptedRoles(refused);
  if (roles !== null) return { lasting: roles, once: {} };
  let changed = dialect;
  let lasting: Partial<Dialect> = {};
  let once: Partial<Dialect> = {};
  for (const difference of differences) {
    const kind = kindOf(difference, refused);
    if (kind === undefined) continue;
    const adjust = kind === "name" ? difference.onName : difference.onValue;
    const change = adjust({ ...refused, dialect: changed });
    if (change === null) continue;
    changed = { ...changed, ...change };
    if (kind === "name" || difference.valueLasts) lasting = { ...lasting, ...change };
    else once = { ...once, ...change };
  }
  return changed === dialect ? null : { lasting, once };
}
