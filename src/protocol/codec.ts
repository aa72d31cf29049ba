import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { clientFrameSchemas, type ClientFrame, type FrameLimits } from "./client-frames.ts";

/** A typed frame, or why the text is not one; `id` is the one of the bad frame, if it has a valid one. */
export type Decoded =
  | { readonly ok: true; readonly frame: ClientFrame }
  | { readonly ok: false; readonly message: string; readonly id?: string };

/** Turns the text of a frame into a typed frame. Never throws. */
export type FrameDecoder = (text: string) => Decoded;

/** Maximum number of a client's own characters that an error text quotes. */
const QUOTED_CHARS = 40;

/** Compiles the validators once and returns the decoder for all frames. */
export function createFrameDecoder(limits: FrameLimits): FrameDecoder {
  // With allErrors a client could make one frame arbitrarily expensive. Lengths are in code points, Ajv's default.
  const ajv = new Ajv({ allErrors: false, strict: true, ownProperties: true });
  const schemas = clientFrameSchemas(limits);
  const validators = new Map<string, ValidateFunction>();
  for (const [type, schema] of Object.entries(schemas)) validators.set(type, ajv.compile(schema));
  const message = validators.get("message") as ValidateFunction;
  const types = [...validators.keys()].join(", ");

  return (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return {
        ok: false,
        message: 'The frame is not valid JSON; expected an object such as {"message":"Hello"}.',
      };
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return {
        ok: false,
        message: `The frame is ${kindOf(value)}; expected a JSON object such as {"message":"Hello"}.`,
      };
    }
    const given = value as Record<string, unknown>;
    const hasType = Object.hasOwn(given, "type");
    const type = given["type"];
    const validate = hasType ? (typeof type === "string" ? validators.get(type) : undefined) : message;
    if (validate === undefined) {
      return refuse(given, `Unknown frame type ${quoted(type)}; expected one of: ${types}.`);
    }
    if (!validate(given))
      return refuse(given, describe(validate.errors?.[0], hasType ? String(type) : "message"));
    if (!hasType) given["type"] = "message";
    const frame = given as unknown as ClientFrame;
    if (frame.type === "message" && !wellFormed(frame)) {
      return refuse(given, "Fields `message` and `id` must be well-formed Unicode, without lone surrogates.");
    }
    if (frame.type === "cancel" && (frame.answer === undefined) === (frame.id === undefined)) {
      return refuse(given, "A cancel frame names either `answer` or `id`.");
    }
    return { ok: true, frame };
  };
}

// A lone surrogate has no UTF-8 form, so the text could not be returned byte for byte.
const LONE_SURROGATE = /\p{Surrogate}/u;

function wellFormed({ message, id }: { message: string; id?: string }): boolean {
  return !LONE_SURROGATE.test(message) && (id === undefined || !LONE_SURROGATE.test(id));
}

function refuse(given: Record<string, unknown>, message: string): Decoded {
  const id = given["id"];
  // The client matches the error to its frame by the id, which is echoed only if it is valid.
  return typeof id === "string" && /^[^]{1,64}$/u.test(id)
    ? { ok: false, message, id }
    : { ok: false, message };
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : article(typeof value);
}

function quoted(value: unknown): string {
  // Only plain values are quoted: serializing a deeply nested value would overflow the stack.
  if (typeof value === "object") return kindOf(value);
  const text = typeof value === "string" ? value : `${value as number | boolean | undefined}`;
  if (text.length <= QUOTED_CHARS) return JSON.stringify(text);
  const head = text.slice(0, QUOTED_CHARS).replace(/[\uD800-\uDBFF]$/, "");
  return JSON.stringify(`${head}…`);
}

/** The `id` of a frame, valid or not, as an object that an error frame can include; empty if it has none. */
export function idOf(decoded: Decoded): { readonly id?: string } {
  const id = decoded.ok ? (decoded.frame as { readonly id?: string }).id : decoded.id;
  return id === undefined ? {} : { id };
}

function describe(error: ErrorObject | undefined, type: string): string {
  if (error === undefined) return `The ${type} frame is malformed.`;
  const path = error.instancePath.slice(1).replaceAll("/", ".");
  const field = path || "frame";
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case "required":
      return `Field \`${path && `${path}.`}${String(params["missingProperty"])}\` is missing in the ${type} frame.`;
    case "additionalProperties": {
      const place = path && `\`${path}\` of `;
      return `Unknown field ${quoted(params["additionalProperty"])} in ${place}the ${type} frame.`;
    }
    case "type":
      return `Field \`${field}\` must be ${article(String(params["type"]))}.`;
    case "pattern":
      return `Field \`${field}\` must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -.`;
    case "minLength":
      return `Field \`${field}\` must not be empty.`;
    case "maxLength":
      return `Field \`${field}\` must have at most ${String(params["limit"])} characters.`;
    case "maxItems":
      return `Field \`${field}\` must have at most ${String(params["limit"])} entries.`;
    case "minimum":
    case "maximum":
      return `Field \`${field}\` must be ${String(params["comparison"])} ${String(params["limit"])}.`;
    default:
      return `Field \`${field}\` ${error.message ?? "is invalid"}.`;
  }
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
