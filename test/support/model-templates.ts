import type { TemplateShape } from "../../src/engine/model/templates/template-shape.ts";

/** A chat template with the structure of a real family's, for a tiny model. */
export interface ModelTemplate {
  /** Jinja source; null: the model file has none. */
  readonly jinja: string | null;
  /** Special tokens of the family's vocabulary besides `<s>` and `</s>`. */
  readonly tokens: readonly string[];
  /** What it takes; absent if it cannot be used. */
  readonly shape?: TemplateShape;
  /** End of a prompt after the text of the last message. */
  readonly begin: string;
  /** What ends the reasoning that a prompt opens; absent if it opens none. */
  readonly closing?: string;
}

const everything: TemplateShape = {
  inParts: false,
  system: "written",
  history: true,
};

/** Raises an error unless users and the assistant take turns. `turns` is the name of the list. */
const mustAlternate = (turns: string): string =>
  `{%- for m in ${turns} %}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}` +
  "{{- raise_exception('Roles must take turns: user, assistant, user, ...') }}{%- endif %}{%- endfor %}";
/** Takes a system message off the list of turns. */
const takeSystem =
  "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] %}{%- set turns = messages[1:] %}" +
  "{%- else %}{%- set system = '' %}{%- set turns = messages %}{%- endif %}";
const chatMlTurns =
  "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}";
const llama3Turn =
  "'<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>'";
const llama3Begin = "<|start_header_id|>assistant<|end_header_id|>\n\n";
const llama3Tokens = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
const chatMlTokens = ["<|im_start|>", "<|im_end|>"];
const gemmaTokens = ["<start_of_turn>", "<end_of_turn>"];
const instTokens = ["[INST]", "[/INST]"];
const deepseekTokens = ["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"];

const llama2 =
  takeSystem +
  mustAlternate("turns") +
  "{%- for m in turns %}{%- set c = m['content'] %}" +
  "{%- if loop.index0 == 0 and system %}{%- set c = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + c %}{%- endif %}" +
  "{%- if m['role'] == 'user' %}{{- bos_token + '[INST] ' + c.strip() + ' [/INST]' }}" +
  "{%- else %}{{- ' ' + c.strip() + ' ' + eos_token }}{%- endif %}{%- endfor %}";

const llama31 =
  "{{- bos_token }}{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}" +
  "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}" +
  "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}" +
  takeSystem +
  "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}" +
  "{%- if builtin_tools is defined or tools is not none %}{{- 'Environment: ipython\\n' }}{%- endif %}" +
  "{%- if builtin_tools is defined %}{{- 'Tools: ' + builtin_tools | reject('equalto', 'code_interpreter') | join(', ') + '\\n\\n' }}{%- endif %}" +
  "{{- 'Cutting Knowledge Date: December 2023\\nToday Date: ' + date_string + '\\n\\n' + system + '<|eot_id|>' }}" +
  `{%- for m in turns %}{%- if not (m.role == 'ipython' or m.role == 'tool' or 'tool_calls' in m) %}{{- ${llama3Turn} }}{%- endif %}{%- endfor %}` +
  "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";

const mistralV1 =
  "{{ bos_token }}" +
  mustAlternate("messages") +
  "{%- for m in messages %}{%- if m['role'] == 'user' %}{{- '[INST] ' + m['content'] + ' [/INST]' }}" +
  "{%- elif m['role'] == 'assistant' %}{{- m['content'] + eos_token + ' ' }}{%- else %}{{- raise_exception('Only user and assistant roles are supported!') }}{%- endif %}{%- endfor %}";

/** Writes the system text into the last message of a user. */
const mistralV3 =
  takeSystem +
  "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}" +
  "{%- set ns = namespace(index=0) %}{%- for m in turns %}{%- if not (m.role == 'tool' or (m.tool_calls is defined and m.tool_calls is not none)) %}" +
  "{%- if (m['role'] == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('After the system message, roles must take turns') }}{%- endif %}" +
  "{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}{{- bos_token }}" +
  "{%- for m in turns %}{%- if m['role'] == 'user' %}" +
  "{%- if tools is not none and loop.last %}{{- '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{%- endif %}" +
  "{%- if loop.last and system %}{{- '[INST] ' + system + '\\n\\n' + m['content'] + '[/INST]' }}{%- else %}{{- '[INST] ' + m['content'] + '[/INST]' }}{%- endif %}" +
  "{%- elif m['role'] == 'assistant' %}{{- ' ' + m['content'] | trim + eos_token }}{%- endif %}{%- endfor %}";

const mistralV7 =
  "{%- set today = strftime_now('%Y-%m-%d') %}{%- set preset = 'You are a helpful model. Today is ' + today + '.' %}" +
  takeSystem +
  "{{- bos_token + '[SYSTEM_PROMPT]' + (system if system else preset) + '[/SYSTEM_PROMPT]' }}" +
  mustAlternate("turns") +
  "{%- for m in turns %}{%- if m['role'] == 'user' %}{%- if m['content'] is string %}{{- '[INST]' + m['content'] + '[/INST]' }}" +
  "{%- else %}{{- '[INST]' }}{%- for part in m['content'] %}{{- part['text'] }}{%- endfor %}{{- '[/INST]' }}{%- endif %}" +
  "{%- elif m['role'] == 'assistant' %}{{- m['content'] + eos_token }}{%- else %}{{- raise_exception('Unknown role') }}{%- endif %}{%- endfor %}";

const gemma = (lead: string, first: string): string =>
  `{{ bos_token }}${lead}` +
  mustAlternate("turns") +
  "{%- for m in turns %}{%- set role = 'model' if m['role'] == 'assistant' else m['role'] %}" +
  `{{- '<start_of_turn>' + role + '\\n' ${first} }}` +
  "{%- if m['content'] is string %}{{- m['content'] | trim }}{%- else %}{%- for part in m['content'] %}{%- if part['type'] == 'text' %}{{- part['text'] | trim }}{%- endif %}{%- endfor %}{%- endif %}" +
  "{{- '<end_of_turn>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}";

const qwen25 =
  "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}" +
  "{%- elif messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}" +
  chatMlTurns +
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

/** Removes the reasoning of earlier answers, and writes an empty block when thinking is switched off. */
const qwen3 = (begin: string): string =>
  "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' + tools | tojson + '<|im_end|>\\n' }}{%- endif %}" +
  "{%- set ns = namespace(last=messages | length - 1, open=true) %}" +
  "{%- for m in messages[::-1] %}{%- set index = messages | length - 1 - loop.index0 %}" +
  "{%- if ns.open and m.role == 'user' and m.content is string and not m.content.startswith('<tool_response>') %}{%- set ns.open = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}" +
  "{%- for m in messages %}{%- set content = m.content if m.content is string else '' %}" +
  "{%- if m.role == 'user' or m.role == 'system' %}{{- '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}" +
  "{%- elif m.role == 'assistant' %}{%- set reasoning = '' %}{%- if m.reasoning_content is string %}{%- set reasoning = m.reasoning_content %}" +
  "{%- elif '</think>' in content %}{%- set reasoning = content.split('</think>')[0].split('<think>')[-1] %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}" +
  "{%- if loop.index0 > ns.last and (loop.last or reasoning) %}{{- '<|im_start|>assistant\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}" +
  "{%- else %}{{- '<|im_start|>assistant\\n' + content }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}" +
  `{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}${begin}{%- endif %}`;
const qwen3Off = "{{- '<think>\\n\\n</think>\\n\\n' }}";

const phi3 =
  "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|user|>\\n' + m['content'] + '<|end|>\\n<|assistant|>\\n' }}" +
  "{% elif m['role'] == 'assistant' %}{{ m['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}";

const phi4 =
  "{% for m in messages %}{% if m['role'] in ['system', 'user', 'assistant'] %}{{ '<|im_start|>' + m['role'] + '<|im_sep|>' + m['content'] + '<|im_end|>' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}";

const deepseek = (begin: string): string =>
  "{%- if not add_generation_prompt is defined %}{%- set add_generation_prompt = false %}{%- endif %}" +
  "{%- set ns = namespace(system='', is_tool=false) %}{%- for m in messages %}{%- if m['role'] == 'system' %}{%- set ns.system = ns.system + m['content'] %}{%- endif %}{%- endfor %}" +
  "{{- bos_token + ns.system }}{%- for m in messages %}{%- if m['role'] == 'user' %}{{- '<｜User｜>' + m['content'] }}{%- endif %}" +
  "{%- if m['role'] == 'assistant' and m['content'] is not none %}{%- set content = m['content'] %}{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}" +
  "{{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{%- endif %}{%- endfor %}" +
  `{%- if add_generation_prompt and not ns.is_tool %}{{- '<｜Assistant｜>${begin}' }}{%- endif %}`;

const vicuna =
  takeSystem +
  "{%- if system %}{{- system + ' ' }}{%- endif %}" +
  mustAlternate("turns") +
  "{%- for m in turns %}{%- if m['role'] == 'user' %}{{- 'USER: ' + m['content'].strip() + ' ' }}{%- else %}{{- 'ASSISTANT: ' + m['content'].strip() + eos_token }}{%- endif %}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{- 'ASSISTANT:' }}{%- endif %}";

const zephyr =
  "{% for m in messages %}\n{% if m['role'] == 'user' %}\n{{ '<|user|>\\n' + m['content'] + eos_token }}\n" +
  "{% elif m['role'] == 'system' %}\n{{ '<|system|>\\n' + m['content'] + eos_token }}\n" +
  "{% elif m['role'] == 'assistant' %}\n{{ '<|assistant|>\\n' + m['content'] + eos_token }}\n{% endif %}\n" +
  "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

/** Templates of real model families, and templates that cannot be used. */
export const modelTemplates = {
  "Llama 2": { jinja: llama2, tokens: [], shape: everything, begin: " [/INST]" },
  "Llama 3": {
    jinja: `{{ bos_token }}{% for m in messages %}{{ ${llama3Turn} }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`,
    tokens: llama3Tokens,
    shape: everything,
    begin: `<|eot_id|>${llama3Begin}`,
  },
  "Llama 3.1": { jinja: llama31, tokens: llama3Tokens, shape: everything, begin: `<|eot_id|>${llama3Begin}` },
  "Mistral v1": {
    jinja: mistralV1,
    tokens: [],
    shape: { ...everything, system: "refused" },
    begin: " [/INST]",
  },
  "Mistral v3": {
    jinja: mistralV3,
    tokens: instTokens,
    shape: { ...everything, system: "refused" },
    begin: "[/INST]",
  },
  "Mistral v7": {
    jinja: mistralV7,
    tokens: [...instTokens, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"],
    shape: everything,
    begin: "[/INST]",
  },
  "Mistral that always thinks": {
    jinja: `${mistralV7}{%- if add_generation_prompt %}{{- '[THINK]' }}{%- endif %}`,
    tokens: [...instTokens, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]", "[/THINK]"],
    shape: everything,
    begin: "[/INST][THINK]",
    closing: "[/THINK]",
  },
  "Gemma 2": {
    jinja: gemma(
      "{%- if messages[0]['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}{%- set turns = messages %}",
      "",
    ),
    tokens: gemmaTokens,
    shape: { ...everything, system: "refused" },
    begin: "<end_of_turn>\n<start_of_turn>model\n",
  },
  "Gemma 3": {
    jinja: gemma(
      takeSystem + "{%- set lead = system + '\\n\\n' if system else '' %}",
      "+ (lead if loop.first else '')",
    ),
    tokens: gemmaTokens,
    shape: everything,
    begin: "<end_of_turn>\n<start_of_turn>model\n",
  },
  "Qwen 2.5": {
    jinja: qwen25,
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "Qwen 3": {
    jinja: qwen3(`{%- if enable_thinking is defined and enable_thinking is false %}${qwen3Off}{%- endif %}`),
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "Qwen 3 without thinking": {
    jinja: qwen3(qwen3Off),
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
  },
  "Qwen 3 that always thinks": {
    jinja: qwen3("{{- '<think>\\n' }}"),
    tokens: [...chatMlTokens, "<think>", "</think>"],
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n<think>\n",
    closing: "\n</think>\n\n",
  },
  "Phi 3": {
    jinja: phi3,
    tokens: ["<|user|>", "<|assistant|>", "<|end|>"],
    shape: { ...everything, system: "refused" },
    begin: "<|end|>\n<|assistant|>\n",
  },
  "Phi 4": {
    jinja: phi4,
    tokens: [...chatMlTokens, "<|im_sep|>"],
    shape: everything,
    begin: "<|im_end|><|im_start|>assistant<|im_sep|>",
  },
  "DeepSeek V3": { jinja: deepseek(""), tokens: deepseekTokens, shape: everything, begin: "<｜Assistant｜>" },
  "DeepSeek R1": {
    jinja: deepseek("<think>\\n"),
    tokens: deepseekTokens,
    shape: everything,
    begin: "<｜Assistant｜><think>\n",
    closing: "\n</think>\n\n",
  },
  Vicuna: { jinja: vicuna, tokens: [], shape: everything, begin: " ASSISTANT:" },
  Zephyr: { jinja: zephyr, tokens: [], shape: everything, begin: "</s>\n<|assistant|>\n" },
  "ChatML with thinking": {
    jinja: `${chatMlTurns}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}`,
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n<think>\n",
    closing: "\n</think>\n\n",
  },
  "gpt-oss": {
    jinja:
      "{{- '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}" +
      takeSystem +
      "{%- if system %}{{- '<|start|>developer<|message|># Instructions\n\n' + system + '<|end|>' }}{%- endif %}" +
      "{%- for m in turns %}{%- if m.role == 'assistant' %}{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}" +
      "{%- else %}{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}" +
      "{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}",
    tokens: ["<|start|>", "<|channel|>", "<|message|>", "<|end|>"],
    shape: everything,
    begin: "<|end|><|start|>assistant<|channel|>final<|message|>",
  },
  "ChatML without a beginning": {
    jinja: chatMlTurns,
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "numbered rounds": {
    jinja:
      "{%- set ns = namespace(round=0) %}{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.round = ns.round + 1 %}" +
      "{{- '[Round ' + (ns.round | string) + ']\\n\\nQ: ' + m.content + '\\n\\n' }}{%- elif m.role == 'assistant' %}{{- 'A: ' + m.content + '\\n\\n' }}{%- endif %}{%- endfor %}" +
      "{%- if add_generation_prompt %}{{- 'A:' }}{%- endif %}",
    tokens: [],
    shape: { ...everything, system: "refused" },
    begin: "\n\nA:",
  },
  "contents in parts": {
    jinja:
      "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- for part in m.content %}{%- if part.type == 'text' %}{{- part.text }}{%- endif %}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endfor %}" +
      "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    tokens: chatMlTokens,
    shape: { ...everything, inParts: true },
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "a system message is needed": {
    jinja: `{%- if messages[0].role != 'system' %}{{- raise_exception('Start with a system message') }}{%- endif %}${chatMlTurns}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
    tokens: chatMlTokens,
    shape: { ...everything, system: "needed" },
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "one message only": {
    jinja:
      "{%- if messages | length > 1 or messages[0].role != 'user' %}{{- raise_exception('One message, please') }}{%- endif %}{{- '<|user|>\\n' + messages[0].content + '\\n<|assistant|>\\n' }}",
    tokens: [],
    shape: { ...everything, system: "refused", history: false },
    begin: "\n<|assistant|>\n",
  },
  "lists of tools are measured": {
    jinja: `{%- if builtin_tools | length + tools | length > 0 %}{{- 'Tools' }}{%- endif %}${chatMlTurns}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`,
    tokens: chatMlTokens,
    shape: everything,
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  none: { jinja: null, tokens: [], begin: "\nAssistant:" },
  "none, with the tokens of ChatML": {
    jinja: null,
    tokens: chatMlTokens,
    begin: "<|im_end|>\n<|im_start|>assistant\n",
  },
  "broken Jinja": {
    jinja: "{% for m in messages %}{{ m['content' }}{% endfor",
    tokens: gemmaTokens,
    begin: "<end_of_turn>\n<start_of_turn>model\n",
  },
  "an error in every case": {
    jinja: "{{ raise_exception('This model does not chat') }}",
    tokens: [],
    begin: "\nAssistant:",
  },
  "no messages in it": { jinja: "{{ bos_token }}Hello", tokens: [], begin: "\nAssistant:" },
} satisfies Record<string, ModelTemplate>;
