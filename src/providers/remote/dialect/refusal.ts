import { isTooLong, type UpstreamFault } from "../fault-table.ts";

/** Sampling parameters that a server may not support: OpenAI's reasoning models accept no temperature, for instance. */
const samplingParameters = ["temperature", "top_p", "seed", "stop"] as const;
export type SamplingParameter = (typeof samplingParameters)[number];

/** Parameters that may be named in error messages and that are looked for in a refusal. */
export const ownParameters = [
  "max_tokens",
  "max_completion_tokens",
  "response_format",
  "json_schema",
  "stream_options",
  ...samplingParameters,
] as const satisfies readonly string[];
export type OwnParameter = (typeof ownParameters)[number];

/** `name`: the server does not know or support the parameter. `value`: it does not accept the value that was sent. */
export type RefusalKind = "name" | "value";

/** Why a server refused a request, as far as the request can be changed. */
export interface Refusal {
  readonly parameters: ReadonlyMap<OwnParameter, RefusalKind>;
  /** `system`: no message may have the system role. `order`: user and assistant must take turns. */
  readonly roles: "system" | "order" | undefined;
  /** Whether prompt and answer together are too long for the server's window. */
  readonly tooLong: boolean;
  /** Text of the server. Used for decisions only. */
  readonly text: string;
}

/** Statuses with which servers refuse a parameter; some fail with 500 instead. Undefined: an error in the stream. */
const STATUSES: ReadonlySet<number | undefined> = new Set([undefined, 400, 422, 424, 500, 501]);

const NAME_LABEL =
  /^(unsupported_(parameter|value)|unknown_parameter|unrecognized|extra_forbidden|value_error\.extra)/;
const VALUE_LABEL =
  /^(invalid_value|(integer|decimal|number)_(above|below)|array_above|string_above|less_than|greater_than)/;

/** Words for a parameter that a server does not know or support. */
const NAME_WORDS =
  /unsupported|not (currently )?(supported|permitted|recognized|implemented|available)|(does not|doesn't|do not) support|is not allowed|unrecogni[sz]ed|extra (inputs|fields)|additional propert|cannot find field|unavailable|deprecated|no longer|only the default|unexpected (keyword|argument|parameter|field|property|key)|(unknown|invalid) (name|field|parameter|argument|key|property|option|keyword)|(不支持|未知)/i;
/** Words for a value that a server does not accept. They outweigh {@link NAME_WORDS}. */
const VALUE_WORDS =
  /too (large|small|big|high|low|long|many)|(must|should) be|at (most|least)|(less|greater|more|fewer|lower|larger) than|between \d|\brange\b|exceed|(above|below) (the )?(max|min)|invalid value|[<>≤≥]=?\s*\d|(非法|范围)/i;

/** Names that servers use for the token limit after translating the request. */
const TOKEN_LIMIT =
  /max_new_tokens|max_output_tokens|maxoutputtokens|maxtokens|max_tokens_to_sample|\bmax(imum)? (number of )?(output |completion |new )?tokens|(output|completion) tokens/i;

/** The rest of a message that lists what is supported instead. */
const LIST =
  /(expected one of|(supported|allowed|valid|available|known) (parameters|fields|arguments|keys)( are)?:?).*/gi;

const SYSTEM_ROLE: readonly RegExp[] = [
  /\bsystem['"`]? (role|message|prompt|instruction)s?\b[^.\n]{0,40}(not|n't|un)[ ]?(be )?(supported|allowed|enabled|permitted|accepted|available)/i,
  /(unsupported|(not|n't) (support|accept|allow|permit)\w*)[^.\n]{0,60}\bsystem\b/i,
  /developer instructions? (is|are) not (enabled|supported|allowed)/i,
  /(unexpected|invalid|unknown|unsupported) (message )?(role|value)[^.\n]{0,20}\bsystem\b/i,
  /roles? [^.\n]{0,20}\bsystem['"`]? (is|are) (not|in|un)/i,
  // FastAPI, about the first message.
  /messages\.0\.([\w-]+\.)*role[^]{0,40}(should be|does not match|permitted|unexpected)/i,
  /first (message|turn|content)[^.\n]{0,40}\buser\b/i,
];
const ONLY_ROLES = /only ([^.!\n]{0,60}?) (roles?|messages?) (are|is) (supported|allowed|accepted)/i;
const ROLE_ORDER =
  /\balternat|(consecutive|adjacent|same role|in a row)[^.\n]{0,60}(message|turn|role)|(message|turn|role)s?[^.\n]{0,60}(consecutive|same role|in a row)|unexpected role[^.\n]{0,20} after role|messages[^.\n]{0,40}odd number/i;

/** Whether `text` names the parameter. Names that are also words, such as "seed", must be quoted or follow a dot. */
function isNamed(name: string, text: string): boolean {
  const isWord = samplingParameters.some((parameter) => parameter === name);
  return (isWord ? new RegExp(`['"\`.]${name}\\b`) : new RegExp(`\\b${name}\\b`)).test(text);
}

/** The sentence that names a parameter, and the next one if it names none: it often has the reason. */
function sentencesAbout(name: string, text: string): string {
  const sentences = text.split(/(?<=[.;!])\s+|\n/);
  const at = sentences.findIndex((sentence) => isNamed(name, sentence));
  if (at === -1) return text;
  const next = sentences[at + 1] ?? "";
  const isAboutOther = ownParameters.some((other) => isNamed(other, next));
  return isAboutOther ? (sentences[at] ?? "") : `${sentences[at]}. ${next}`;
}

/** Decides whether a parameter itself or only its value was refused. A refusal without a reason concerns the value. */
function kindOf(name: OwnParameter, { labels, text }: UpstreamFault): RefusalKind {
  const about = sentencesAbout(name, text);
  // "Only the default value is supported" leaves no other value to send.
  if (/only the default/i.test(about)) return "name";
  if (VALUE_WORDS.test(about) || labels.some((label) => VALUE_LABEL.test(label))) return "value";
  return NAME_WORDS.test(about) || labels.some((label) => NAME_LABEL.test(label)) ? "name" : "value";
}

function rolesOf(text: string): Refusal["roles"] {
  const only = ONLY_ROLES.exec(text)?.[1];
  if (only !== undefined && /\buser\b/i.test(only) && !/\bsystem\b/i.test(only)) {
    return /optional system/i.test(text) ? "order" : "system";
  }
  if (SYSTEM_ROLE.some((words) => words.test(text))) return "system";
  return ROLE_ORDER.test(text) ? "order" : undefined;
}

/** Reads an error response as a refusal. Null if it cannot be one. */
export function readRefusal(fault: UpstreamFault): Refusal | null {
  if (!STATUSES.has(fault.status)) return null;
  const text = fault.text.replaceAll(LIST, "");
  const parameters = new Map<OwnParameter, RefusalKind>();
  for (const name of ownParameters) {
    const isParam = fault.param?.startsWith(name) === true;
    if (isParam || isNamed(name, text)) parameters.set(name, kindOf(name, { ...fault, text }));
  }
  if (TOKEN_LIMIT.test(text) && !parameters.has("max_tokens") && !parameters.has("max_completion_tokens")) {
    parameters.set("max_tokens", "value");
    parameters.set("max_completion_tokens", "value");
  }
  return { parameters, roles: rolesOf(text), tooLong: isTooLong(fault), text };
}
