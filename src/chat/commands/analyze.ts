import { ServiceError } from "../../core/errors.ts";
import type { JsonSchema } from "../../providers/provider.ts";
import { refuse, succeed, type Command } from "./command.ts";

const SENTIMENTS = ["positive", "negative", "neutral", "mixed"] as const;
const MAX_POINTS = 5;
const MAX_POINT_CHARS = 120;

/** Enough for the longest answer that the schema allows, at one token a character. */
const MAX_TOKENS = 768;

/**
 * Confidence is one of 21 values and strings are bounded, because a grammar can enforce both. So the answer of a local
 * model is always valid, even that of a small one.
 */
const schema: JsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["sentiment", "confidence", "key_points"],
  properties: {
    sentiment: { enum: [...SENTIMENTS] },
    confidence: { enum: Array.from({ length: 21 }, (_, step) => step / 20) },
    key_points: {
      type: "array",
      minItems: 1,
      maxItems: MAX_POINTS,
      items: { type: "string", minLength: 1, maxLength: MAX_POINT_CHARS },
    },
  },
};

const SYSTEM =
  "You analyze texts. Answer in JSON: `sentiment` (positive, negative, neutral or mixed), `confidence` in it from 0 to 1, " +
  "and `key_points`, one to five short sentences in the language of the text.";

interface Analysis {
  readonly sentiment: (typeof SENTIMENTS)[number];
  readonly confidence: number;
  readonly key_points: readonly string[];
}

export const analyze: Command = {
  name: "analyze",
  description: "Find the sentiment and the key points of a text.",
  args: [{ name: "text", example: "I love this product, but the price is high." }],
  async run({ args, ask, sampling }) {
    const text = args.get("text") as string;
    if (text.trim() === "") return refuse("The text must not be empty.");
    const generation = await ask({
      system: SYSTEM,
      turns: [{ role: "user", content: text }],
      ofConversation: false,
      maxTokens: MAX_TOKENS,
      sampling: { temperature: 0.2, ...sampling },
      jsonSchema: schema,
    });
    return succeed({ ...parseAnalysis(generation.text) }, generation);
  },
};

/**
 * Parses and checks the model's answer: not every remote provider enforces the schema.
 * @throws ServiceError `bad_answer` when the answer does not match.
 */
export function parseAnalysis(text: string): Analysis {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ServiceError("bad_answer", "The model's analysis was not valid JSON. Try again.", { cause });
  }
  const {
    sentiment,
    confidence,
    key_points: points,
  } = (value ?? {}) as Partial<Record<keyof Analysis, unknown>>;
  const known = SENTIMENTS.find((word) => word === sentiment);
  const strings = Array.isArray(points) && points.every((point) => typeof point === "string");
  const inRange = typeof confidence === "number" && confidence >= 0 && confidence <= 1;
  if (known === undefined || !inRange || !strings || points.length < 1 || points.length > 7) {
    throw new ServiceError(
      "bad_answer",
      "The model's analysis was incomplete or had unexpected values. Try again.",
    );
  }
  // Small models repeat key points.
  return { sentiment: known, confidence, key_points: [...new Set(points)] };
}
