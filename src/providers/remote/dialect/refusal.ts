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

/** `name`: the server does not recognise or support the parameter. `value`: it does not accept the value that was sent. */
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

/** Characters of an error that are read for its reason, which comes early. Bounds the time that the patterns take. */
const MAX_TEXT_CHARS = 8192;

const NAME_LABEL =
  /^(unsupported_(parameter|value)|unknown_parameter|unrecognized|extra_forbidden|value_error\.extra)/;
const VALUE_LABEL =
  /^(invalid_value|(integer|decimal|number)_(above|below)|array_above|string_above|less_than|greater_than)/;

/** Words for a parameter that a server does not recognise or support. */
const NAME_WORDS: readonly RegExp[] = [
  /unsupported|not (currently |yet )?(supported|permitted|recogni[sz]ed|implemented|available|accepted)/i,
  /(does not|doesn't|do not|cannot) (support|accept|recogni[sz]e|allow)|is not allowed|must not contain/i,
  /unrecogni[sz]ed|extra (inputs|fields)|additional propert|cannot find field|unavailable/i,
  /deprecated|obsolete|no longer|replaced by|only the default/i,
  /(unknown|invalid|unexpected|no such|no|not a (valid|known|supported)) (name|field|parameter|argument|key|property|option|keyword)/i,
  /不支持|未知/,
];
/** The server asks for the other name of the token limit. */
const OTHER_NAME = /(\buse|requires?|replaced by|in favou?r of) [^.\n]{0,12}max_(completion_)?tokens/i;
/** Words for a value that a server does not accept. They outweigh {@link NAME_WORDS}. */
const VALUE_WORDS =
  /too (large|small|big|high|low|long|many)|(must|should) be|at (most|least)|(less|greater|more|fewer|lower|larger) than|between \d|\brange\b|exceed|(above|below) (the )?(max|min)|invalid value|[<>≤≥]=?\s*\d|(非法|范围)/i;

/** Names that servers use for the token limit after translating the request. */
const TOKEN_LIMIT =
  /max_new_tokens|max_output_tokens|maxoutputtokens|maxtokens|max_tokens_to_sample|\bmax(imum)? (number of )?(output |completion |new )?tokens|(output|completion) tokens/i;

const NOT_BOTH = /\bboth\b|only one of|mutually exclusive/i;

/** The rest of a message that lists what is supported instead. */
const LIST =
  /(expected one of|(supported|allowed|valid|available|known) (parameters|fields|arguments|keys)( are)?:?).*/gi;

const SYSTEM_ROLE: readonly RegExp[] = [
  /\bsystem['"`]?[ _](role|message|prompt|instruction)s?\b[^.\n]{0,40}((not|n't|un)[ ]?(be )?(supported|allowed|enabled|permitted|accepted|available)|disabled|invalid)/i,
  /(unsupported|(not|n't|cannot) (support|accept|allow|permit|process|handle|use)\w*)[^.\n]{0,60}\bsystem\b/i,
  /developer instructions? (is|are) not (enabled|supported|allowed)/i,
  /(unexpected|invalid|unknown|unsupported|unrecogni[sz]ed) (message )?(role|value|variant)[^.\n]{0,20}\bsystem\b/i,
  /roles?\b[^.\n]{0,20}\bsystem['"`]? ((is|are|was) )?(not|invalid|un|disabled)/i,
  /\bsystem['"`][^.\n]{0,60}(not match|not one of|not a valid)/i,
  /(first (message|turn|content)|(start|begin)s? with)[^.\n]{0,40}\buser\b/i,
  /不支持[^\n]{0,10}system|system[^\n]{0,10}不支持/i,
  // FastAPI, about the first message.
  /messages\.[\w.-]{0,60}role[^]{0,40}(should be|does not match|permitted|unexpected)/i,
];
/** A list of the roles that are accepted, if it has no system role. */
const ROLE_LISTS: readonly RegExp[] = [
  /only ([^.!\n]{0,60}?) (roles?|messages?) (are|is) (supported|allowed|accepted)/i,
  /\broles?\b[^\n]{0,60}(?:must|should|expected|one of|any of|valid|either)([^.\n]{0,60})/i,
  /\b(?:valid|supported|allowed|accepted) roles?\b([^.\n]{0,60})/i,
];
/** The role that was sent, beside the list. */
const SENT_ROLE = /\b(got|received|given|found|not)[ :]*['"`]?system\b/gi;
const ROLE_ORDER: readonly RegExp[] = [
  /\balternat|messages[^.\n]{0,40}odd number|(even|odd) index|unexpected role[^.\n]{0,20} after role/i,
  /(consecutive|adjacent|same role|in a row|cannot follow|order of)[^.\n]{0,60}(message|turn|role)/i,
  /(message|turn|role)s?\b[^.\n]{0,60}(consecutive|same role|in a row|cannot follow)|message order/i,
  /expected[^.\n]{0,40}\b(user|assistant)\b[^.\n]{0,20}\bafter\b/i,
];

function hasAny(patterns: readonly RegExp[], text: string): boolean {
  return patterns.some((pattern) => pattern.test(text));
}

function listsNoSystem(text: string): boolean {
  return ROLE_LISTS.some((pattern) => {
    const list = pattern.exec(text)?.[1]?.replace(SENT_ROLE, "") ?? "";
    return /\buser\b/i.test(list) && /\b(assistant|model)\b/i.test(list) && !/\bsystem\b/i.test(list);
  });
}

/**
 * A name in a text. Names that are also words, such as "seed", must be quoted, follow a dot or a word such as
 * "parameter", or begin a sentence.
 */
function mentionOf(name: OwnParameter): RegExp {
  const isWord = samplingParameters.some((parameter) => parameter === name);
  const before = isWord
    ? "(?:['\"`.]|^ {0,8}|[.;:] {1,4}|(?:parameters?|fields?|arguments?|keys?):? )"
    : "\\b";
  return new RegExp(`${before}${name}\\b`, "m");
}

const mentions = new Map<OwnParameter, RegExp>(ownParameters.map((name) => [name, mentionOf(name)]));

function isNamed(name: OwnParameter, text: string): boolean {
  return mentions.get(name)?.test(text) === true;
}

/** The sentence that names a parameter, and the next one if it names none: it often has the reason. */
function sentencesAbout(name: OwnParameter, text: string): string {
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
  const isName = hasAny(NAME_WORDS, about) || labels.some((label) => NAME_LABEL.test(label));
  return isName || (name.startsWith("max_") && OTHER_NAME.test(text)) ? "name" : "value";
}

function rolesOf(text: string): Refusal["roles"] {
  if (/optional\)? system/i.test(text) || (hasAny(ROLE_ORDER, text) && !hasAny(SYSTEM_ROLE, text)))
    return "order";
  return hasAny(SYSTEM_ROLE, text) || listsNoSystem(text) ? "system" : undefined;
}

/** Reads an error response as a refusal. Null if it cannot be one. */
export function readRefusal(fault: UpstreamFault): Refusal | null {
  if (!STATUSES.has(fault.status)) return null;
  const text = fault.text.slice(0, MAX_TEXT_CHARS).replaceAll(LIST, "");
  const parameters = new Map<OwnParameter, RefusalKind>();
  for (const name of ownParameters) {
    const isParam = fault.param?.startsWith(name) === true;
    if (isParam || isNamed(name, text)) parameters.set(name, kindOf(name, { ...fault, text }));
  }
  if (TOKEN_LIMIT.test(text) && !parameters.has("max_tokens") && !parameters.has("max_completion_tokens")) {
    parameters.set("max_tokens", "value");
    parameters.set("max_completion_tokens", "value");
  }
  // Some models take only one of the two.
  if (parameters.has("temperature") && parameters.has("top_p") && NOT_BOTH.test(text)) {
    parameters.delete("temperature");
    parameters.set("top_p", "name");
  }
  return { parameters, roles: rolesOf(text), tooLong: isTooLong(fault), text };
}
