/** A form of prompts for model files without a usable chat template. */
export interface GeneralForm {
  readonly name: string;
  /** Role markers, each of which is one special token in the vocabularies of models that were trained on this form. */
  readonly markers: readonly string[];
  /** Jinja source. */
  readonly source: string;
}

/** A loop over the messages that writes `{{ c }}`, the content, in another way for each role; then the answer's start. */
function byRole(system: string, user: string, assistant: string, start: string): string {
  return (
    "{% for m in messages %}{% set c = m['content'] %}" +
    `{% if m['role'] == 'system' %}{{ ${system} }}{% elif m['role'] == 'user' %}{{ ${user} }}{% else %}{{ ${assistant} }}{% endif %}` +
    `{% endfor %}{{ ${start} }}`
  );
}

/** Markers around the name of each role. */
function named(before: string, after: string, end: string, assistant = "assistant"): string {
  const turn = (role: string): string => `'${before}${role}${after}' + c + '${end}'`;
  return byRole(turn("system"), turn("user"), turn(assistant), `'${before}${assistant}${after}'`);
}

/** Used when no other form fits: words, which every model knows. */
const PLAIN_FORM: GeneralForm = {
  name: "plain text",
  markers: [],
  source: byRole("c + '\\n\\n'", "'User: ' + c + '\\n'", "'Assistant: ' + c + '\\n'", "'Assistant:'"),
};

const FORMS: readonly GeneralForm[] = [
  {
    name: "ChatML",
    markers: ["<|im_start|>", "<|im_end|>"],
    source: named("<|im_start|>", "\\n", "<|im_end|>\\n"),
  },
  {
    name: "Llama 3",
    markers: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    source: `{{ bos_token }}${named("<|start_header_id|>", "<|end_header_id|>\\n\\n", "<|eot_id|>")}`,
  },
  {
    name: "Gemma",
    markers: ["<start_of_turn>", "<end_of_turn>"],
    source:
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}{{ bos_token }}" +
      named("<start_of_turn>", "\\n", "<end_of_turn>\\n", "model"),
  },
  {
    name: "Phi 3",
    markers: ["<|user|>", "<|assistant|>", "<|end|>"],
    source: named("<|", "|>\\n", "<|end|>\\n"),
  },
  {
    name: "DeepSeek",
    markers: ["<｜User｜>", "<｜Assistant｜>"],
    source: `{{ bos_token }}${byRole("c", "'<｜User｜>' + c", "'<｜Assistant｜>' + c + eos_token", "'<｜Assistant｜>'")}`,
  },
  {
    name: "Mistral",
    markers: ["[INST]", "[/INST]"],
    source:
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}{{ bos_token }}" +
      byRole("c", "'[INST] ' + c + '[/INST]'", "' ' + c + eos_token", "''"),
  },
];

/**
 * Chooses a form for a model file without a usable chat template: one whose role markers are special tokens of the
 * vocabulary, or that the unusable template has, or plain text.
 *
 * @param isSpecialToken whether a text is one special token of the vocabulary
 * @param source the unusable template; empty if there is none
 */
export function generalForm(isSpecialToken: (text: string) => boolean, source: string): GeneralForm {
  return (
    FORMS.find(({ markers }) => markers.every(isSpecialToken)) ??
    FORMS.find(({ markers }) => markers.every((marker) => source.includes(marker))) ??
    PLAIN_FORM
  );
}
