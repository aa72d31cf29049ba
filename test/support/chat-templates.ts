/** Short forms of the chat templates of real model families. */
export interface FamilyTemplate {
  readonly jinja: string;
  /** Texts that are one special token in the family's vocabulary, which no text of a user can produce. */
  readonly specialTokens: readonly string[];
}

/** A loop over the messages with one text for each role; the content is written as `{{ c }}`. */
function byRole(system: string, user: string, assistant: string, start: string): string {
  return (
    "{% for m in messages %}{% set c = m['content'] %}" +
    `{% if m['role'] == 'system' %}${system}{% elif m['role'] == 'user' %}${user}{% else %}${assistant}{% endif %}` +
    `{% endfor %}{% if add_generation_prompt %}${start}{% endif %}`
  );
}

const chatMl =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

export const familyTemplates = {
  vicuna: {
    jinja: byRole("{{ c }} ", "USER: {{ c }} ", "ASSISTANT: {{ c }}</s>", "ASSISTANT:"),
    specialTokens: ["<s>", "</s>"],
  },
  alpaca: {
    jinja: byRole(
      "{{ c }}{{ '\n\n' }}",
      "### Instruction:{{ '\n' + c + '\n\n' }}",
      "### Response:{{ '\n' + c + '\n\n' }}",
      "### Response:{{ '\n' }}",
    ),
    specialTokens: ["<s>", "</s>"],
  },
  guanaco: {
    jinja: byRole("{{ c + '\n' }}", "### Human: {{ c }}", "### Assistant: {{ c }}", "### Assistant:"),
    specialTokens: [],
  },
  exaone: {
    jinja: byRole(
      "[|system|]{{ c }}[|endofturn|]{{ '\n' }}",
      "[|user|]{{ c + '\n' }}",
      "[|assistant|]{{ c }}[|endofturn|]{{ '\n' }}",
      "[|assistant|]",
    ),
    specialTokens: ["[|endofturn|]"],
  },
  llama2: {
    jinja: byRole(
      "<<SYS>>{{ '\n' + c + '\n' }}<</SYS>>{{ '\n\n' }}",
      "<s>[INST] {{ c }} [/INST]",
      " {{ c }} </s>",
      "",
    ),
    specialTokens: ["<s>", "</s>"],
  },
  chatml: { jinja: chatMl, specialTokens: ["<|im_start|>", "<|im_end|>"] },
  chatmlOfWords: { jinja: chatMl, specialTokens: [] },
  llama3: {
    jinja:
      "{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] + '<|eot_id|>' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    specialTokens: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
  },
  gemma: {
    jinja:
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
      "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}" +
      "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    specialTokens: ["<start_of_turn>", "<end_of_turn>"],
  },
  deepseek: {
    jinja: byRole(
      "{{ c }}",
      "<｜User｜>{{ c }}",
      "<｜Assistant｜>{{ c }}<｜end▁of▁sentence｜>",
      "<｜Assistant｜>",
    ),
    specialTokens: ["<｜end▁of▁sentence｜>"],
  },
  chatglm2: {
    jinja:
      "{% set n = namespace(round=0) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set n.round = n.round + 1 %}" +
      "{{ '[Round ' + (n.round | string) + ']\n\n问：' + m['content'] + '\n\n' }}" +
      "{% elif m['role'] == 'assistant' %}{{ '答：' + m['content'] + '\n\n' }}{% else %}{{ m['content'] + '\n\n' }}{% endif %}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '答：' }}{% endif %}",
    specialTokens: [],
  },
  wordsOnLines: {
    jinja: byRole(
      "system{{ '\n' + c + '\n' }}",
      "user{{ '\n' + c + '\n' }}",
      "assistant{{ '\n' + c + '\n' }}",
      "assistant{{ '\n' }}",
    ),
    specialTokens: [],
  },
} satisfies Record<string, FamilyTemplate>;
