import { Template } from "@huggingface/jinja";
import { resolveChatWrapper, specializedChatWrapperTypeNames, type LlamaModel } from "node-llama-cpp";
import { generalForm } from "./general-forms.ts";
import type { PromptTemplate } from "./prompt-template.ts";
import { promptsOfSource } from "./template-variables.ts";
import { WrapperPrompt, ZephyrChatWrapper } from "./wrapper-prompt.ts";

/** A template, and what the operator should know about it. */
export interface ChosenTemplate {
  readonly template: PromptTemplate;
  /** For the start banner; absent if the template is the one of the model file or of the settings. */
  readonly note?: string;
}

/** Longer causes are cut in notes; in UTF-16 units. Jinja errors may quote the source. */
const MAX_CAUSE_CHARS = 160;

/** Template names accepted besides `auto` and `zephyr`, by their lower case. */
const specializedTypes = new Map(specializedChatWrapperTypeNames.map((name) => [name.toLowerCase(), name]));

/**
 * Returns the template for building prompts. `auto` takes the one in the model file; if there is none, or it cannot be
 * used, a general form takes its place. Samples are rendered, so call this once per model.
 *
 * @throws Error when the name is unknown.
 */
export function chatTemplate(name: string, model: LlamaModel, now: () => Date): ChosenTemplate {
  const wanted = name.toLowerCase();
  if (wanted === "auto") return templateOfFile(model, now);
  if (wanted === "zephyr") return { template: new WrapperPrompt(new ZephyrChatWrapper()) };
  const type = specializedTypes.get(wanted);
  if (!type) {
    const known = ["auto", "zephyr", ...specializedTypes.keys()].join(", ");
    throw new Error(`The chat template "${name}" is unknown. Use one of: ${known}.`);
  }
  const wrapper = resolveChatWrapper(model, { type, warningLogs: false });
  return { template: new WrapperPrompt(wrapper) };
}

function templateOfFile(model: LlamaModel, now: () => Date): ChosenTemplate {
  const stored: unknown = model.fileInfo.metadata.tokenizer?.chat_template;
  const source = typeof stored === "string" ? stored : "";
  const common = {
    compile: (jinja: string) => new Template(jinja),
    now,
    blankInFirstToken:
      String(model.tokenize("a", false)) !== String(model.tokenize("a", false, "trimLeadingSpace")),
  };
  let fault = "The model file has no chat template";
  if (source.trim() !== "") {
    try {
      return { template: promptsOfSource({ ...common, name: "JinjaTemplate", source }) };
    } catch (error) {
      fault = `The chat template of the model file cannot be used (${causeOf(error)})`;
    }
  }
  const form = generalForm((text) => isSpecialToken(model, text), source);
  const reason = form.markers.length > 0 ? `, since it has ${form.markers.join(" and ")}` : "";
  return {
    template: promptsOfSource({ ...common, name: form.name, source: form.source }),
    note:
      `${fault}. Prompts have the form "${form.name}"${reason}. If answers are poor, use a file with a working template, ` +
      'or set "template" for this file in models/models.json.',
  };
}

/** Whether a text is one token that plain text does not become. */
function isSpecialToken(model: LlamaModel, text: string): boolean {
  const [token, ...others] = model.tokenize(text, true, "trimLeadingSpace");
  return token !== undefined && others.length === 0 && model.isSpecialToken(token);
}

function causeOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  return line.length > MAX_CAUSE_CHARS ? `${line.slice(0, MAX_CAUSE_CHARS)}…` : line;
}
