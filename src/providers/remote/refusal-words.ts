/**
 * Words of servers for one kind of refusal. A word that is missing costs one row here and one in
 * `test/contract/dialects`.
 */
export interface RefusalWords {
  /**
   * Values of `code`, `type`, `status` and `reason`. Case and punctuation do not matter: `InvalidApiKey` is
   * `invalid_api_key`. A label that ends in `…` is a beginning.
   */
  readonly labels: readonly string[];
  /** Patterns of messages. They must take linear time: at most one repetition without a bound in each. */
  readonly texts: readonly RegExp[];
}

/** The prompt does not fit the model's window, or the request is larger than any request may be. */
export const tooLong: RefusalWords = {
  labels: [
    ...["context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"],
    ...["input_too_long", "ContextWindowExceededError", "model_context_window_exceeded"],
    ...["prompt_too_long", "request_too_large", "string_above_max_length"],
    ...["token_limit_exceeded", "tokens_limit_reached", "max_context_length_exceeded"],
    // Zhipu and MiniMax.
    ...["1261", "1039"],
  ],
  texts: [
    // OpenAI, vLLM, OpenRouter, Together, DeepSeek, Mistral.
    /maximum context|max context/i,
    // llama-server, LM Studio, Ollama, xAI, MiniMax, llama-cpp-python.
    /context[ _-]?(size|length|window)/i,
    // Anthropic, Z.ai, xAI.
    /prompt (is |was )?too (long|large)|prompt exceeds|maximum prompt length/i,
    // vLLM.
    /prompt[^.\n]{0,40} (is )?longer than|(has|contains|with) [\d,]+ tokens?\b[^\n]{0,60}(too|but|exceed)/i,
    // vLLM, SGLang.
    /max(imum)?[ _]model[ _]len(gth)?|max_seq_len/i,
    // TGI.
    /\binputs\b`? (tokens|must have)|max_input_(tokens|length)/i,
    // Gemini, Bedrock, DashScope.
    /input token count|input tokens? (exceed|limit)|input is too long|input[_ ]length/i,
    // Together, SGLang.
    /input \([\d,]+ tokens\) is longer|maximum allowed input length/i,
    // Cohere, Kimi.
    /too many (input |total |prompt )?tokens|token limit (is )?exceeded|exceed(s|ed)?[^.\n]{0,40}token limit/i,
    // Cohere, Mistral.
    /tokens? in (the|your) (prompt|messages?)|number of tokens[^.\n]{0,60}(exceed|limit)/i,
    // Groq, vLLM.
    /reduce (the )?(length|size) of (the |your )?(input|prompt|messages?)|reduce your (prompt|message)/i,
    // proxies.
    /(message|input|content|text|conversation)s? (is|are|was) too (long|large)|message too long/i,
    // all.
    /\btokens?\b[^.\n]{0,60}exceed|exceed[^.\n]{0,60}\btokens?\b/i,
    // GitHub Models, Zhipu.
    /exceeds the limit of [\d,]+|超长|过长/i,
  ],
};

/** A request that is larger than the rate allows at once. To wait does not help, whatever the status. */
export const largerThanRate =
  /(request|prompt|message) (is )?too large|request entity too large|reduce your message size/i;

/**
 * A limit of the answer that is out of range. The prompt is not at fault, unless the message names it as well.
 */
export const answerLimit =
  /max[_ ](completion_|new_|output_)?tokens\b[^.\n]{0,60}(too large|must be|should be|cannot|at most|exceed)/i;
export const promptNamed = /\b(prompt|inputs?|messages|context|max_model_len)\b/i;

export const contentRefused: RefusalWords = {
  labels: [
    ...["content_filter…", "content_policy…", "ResponsibleAIPolicyViolation", "1301", "1026"],
    ...["1027", "moderation_blocked", "data_inspection_failed", "content_blocked"],
    ...["content_violation", "invalid_prompt", "safety_violation", "prohibited_content"],
    ...["guardrail_violation", "sensitive_content"],
  ],
  texts: [
    // Azure, OpenAI.
    /content management policy|content (filter|policy)|usage policies/i,
    // OpenRouter, Gemini.
    /(input|prompt|message|content) (was|has been|is) (flagged|blocked)|requires moderation/i,
    // OpenAI, DashScope, Zhipu.
    /safety system|data inspection failed|inappropriate content|敏感内容/i,
  ],
};

export const regionRefused: RefusalWords = {
  labels: [
    ...["unsupported_country_region_territory", "unsupported_country", "unsupported_region"],
    ...["region_not_supported"],
  ],
  texts: [
    // OpenAI, Gemini.
    /(country|region|territory|location)[^.\n]{0,40}(is |are )?(not (supported|available|allowed)|unsupported)/i,
    // Anthropic, Mistral, Groq.
    /not (available|supported|allowed) in (your|this) (country|region|location|territory)/i,
  ],
};

export const accountBlocked: RefusalWords = {
  labels: [
    ...["account_deactivated", "organization_restricted", "account_suspended"],
    ...["access_terminated", "account_disabled"],
  ],
  texts: [
    // OpenAI, Groq, Gemini.
    /(account|organization|project|consumer)[^.\n]{0,60}(suspended|deactivated|restricted|disabled|banned)/i,
  ],
};

/** The amount of a plan is used up, until its period ends or somebody raises it. */
export const quotaUsedUp: RefusalWords = {
  labels: [
    ...["insufficient_quota", "quota_exceeded", "exceeded_current_quota_error"],
    ...["usage_limit_reached", "budget_exceeded", "monthly_limit_reached", "daily_limit_reached"],
    ...["allocation_quota", "AllocationQuota.FreeTierOnly"],
  ],
  texts: [
    // OpenAI, Kimi.
    /exceeded your (current|monthly|daily|assigned) (quota|usage|limit)|quota (has been |is |was )?(exceeded|exhausted|used up)/i,
    // Mistral, Cohere.
    /(monthly|daily|usage|spending|spend) (limit|quota|cap)[^.\n]{0,40}(reached|exceeded|exhausted)/i,
    // Anthropic.
    /reached your (specified )?(api )?(usage|spending) limits?|out of [\w ]{0,30}quota|budget (has been )?exceeded/i,
  ],
};

/** The account has nothing to pay with. */
export const notPaid: RefusalWords = {
  labels: [
    ...["billing_hard_limit_reached", "billing_not_active", "billing_error"],
    ...["insufficient_balance", "insufficient_credits", "insufficient_funds", "payment_required"],
    ...["arrearage", "account_overdue", "no_credits", "1113", "1008"],
  ],
  texts: [
    // DeepSeek, OpenRouter, Zhipu.
    /insufficient[ _](account )?(balance|credits?|funds)|not enough (balance|credits?)|余额不足|欠费/i,
    // Anthropic, Hugging Face.
    /credit balance|(does ?n[o']t|do ?n[o']t) have (any |enough )?credits?|balance is (insufficient|too low)|out of credits?|no credits? (left|remaining)|(requires|need) more credits|included credits/i,
    // OpenAI, Gemini, DashScope.
    /billing (is )?(not|disabled|hard limit)|billing details|payment (is )?required|good standing|overdue/i,
  ],
};

export const keyRefused: RefusalWords = {
  labels: [
    ...["invalid_api_key", "authentication_error", "api_key_invalid"],
    ...["invalid_authentication_error", "unauthenticated", "unauthorized", "invalid_token"],
    ...["expired_token", "expired_api_key", "invalid_authentication", "incorrect_api_key_error"],
    ...["missing_api_key", "no_api_key", "AuthenticationFailed", "access_denied_invalid_key"],
    ...["token_expired", "1004", "2049"],
  ],
  texts: [
    // Gemini, Groq.
    /api[ _-]?key[^.\n]{0,60}(not valid|invalid|incorrect|expired|missing|not found|required|revoked|leaked)/i,
    // OpenAI, Cohere, Azure.
    /(invalid|incorrect|wrong|missing|expired|unknown|no)( \w+)? (api[ _-]?key|(api|access|auth|bearer) ?token|subscription key)/i,
    // OpenRouter, DeepSeek, Kimi.
    /no auth credentials|authentication (fails|failed)|invalid authentication|user not found|\bunauthorized\b/i,
  ],
};

export const modelUnknown: RefusalWords = {
  labels: [
    ...["model_not_supported", "model_not_found", "DeploymentNotFound", "model_decommissioned"],
    ...["invalid_model", "unknown_model", "model_not_available", "model_not_exist"],
    ...["ModelNotFound", "not_found_model", "model_not_active"],
  ],
  texts: [
    // OpenAI, vLLM, Ollama, Groq.
    /\bmodels?\b[^\n]{0,120}(does ?n[o']t exist|not exist|not found|is not (supported|available|loaded|a valid model|served|allowed))/i,
    // Groq, OpenAI.
    /\bmodel\b[^\n]{0,120}(decommissioned|deprecated|no longer|retired)/i,
    // LM Studio, OpenRouter, Mistral.
    /(unknown|invalid|no such|unsupported|cannot find|failed to load) model\b|model (id|identifier|name) is invalid|not a valid model|no endpoints found for/i,
    // LM Studio, Ollama, Azure.
    /no models? (is |are )?loaded|try pulling it|deployment[^\n]{0,60}(does not exist|not found)/i,
    // xAI, Vertex.
    /(do|does) not have (the )?access to (the |this )?model|not allowed to (use|access) (the |this )?model/i,
  ],
};

/** The address has no chat completions. */
export const pathUnknown: RefusalWords = {
  labels: [
    ...["unknown_url", "invalid_url", "endpoint_not_found", "route_not_found"],
    ...["method_not_allowed"],
  ],
  texts: [
    // LM Studio, llama-server, OpenAI.
    /(unexpected|unknown|invalid|unsupported) (api )?(endpoint|route|path|url)|endpoint[^.\n]{0,60}not (found|supported)/i,
    // Ollama, llama-server, nginx, FastAPI.
    /page not found|file not found|404 not found|^"?not found"?\.?$/im,
    // Mistral, Groq, OpenAI.
    /no route|route[^\n]{0,80} not found|unrecognized request url|unknown request url/i,
    // Express, Google, TGI, Azure.
    /cannot (post|get) \/|requested url|method not allowed|unsupported method|resource not found/i,
  ],
};

export const rateLimited: RefusalWords = {
  labels: [
    ...["rate_limit…", "resource_exhausted", "too_many_requests", "throttling…"],
    ...["requests_limit_exceeded"],
    // Zhipu and MiniMax.
    ...["in_flight_budget_exhausted", "1302", "1303", "1002"],
  ],
  texts: [
    // all.
    /rate[ _-]?limit|too many requests|throttl|(requests|tokens) per (sec|min|hour|day)/i,
    // Bedrock.
    /wait before trying/i,
  ],
};

export const serverFailed: RefusalWords = {
  labels: [
    ...["server_error", "internal_error", "internal_server_error", "overloaded"],
    ...["overloaded_error", "unavailable", "unavailable_error", "service_unavailable"],
    ...["engine_overloaded_error", "engine_overloaded", "capacity_exceeded", "bad_gateway"],
    ...["gateway_timeout", "timeout_error", "upstream_error", "model_loading", "internal"],
    ...["deadline_exceeded", "generation", "incomplete_generation"],
    ...["service_tier_capacity_exceeded", "server_busy"],
  ],
  texts: [
    // TGI, llama-server, HF.
    /\boverloaded\b|at capacity|over capacity|currently (loading|unavailable)|loading model|too busy|try again later/i,
    // proxies.
    /internal server error|bad gateway|gateway timeout|service unavailable|upstream (error|connect)/i,
  ],
};

export const requestInvalid: RefusalWords = {
  labels: [
    ...["invalid_request_error", "invalid_request", "BadRequestError", "bad_request"],
    ...["invalid_argument", "validation_error", "validation", "unprocessable_entity"],
    ...["invalid_parameter", "unsupported_parameter", "invalid_value"],
  ],
  texts: [],
};

function squeezed(label: string): string {
  return label.toLowerCase().replace(/[^a-z0-9]+/g, "");
}

/** Whether one of `labels`, as a server sent them, is one of `words`. */
export function isLabelled(words: RefusalWords, labels: readonly string[]): boolean {
  return labels.map(squeezed).some((label) =>
    words.labels.some((word) => {
      const known = squeezed(word);
      return word.endsWith("…") ? label.startsWith(known) : label === known;
    }),
  );
}

/** Whether a message holds one of `words`. */
export function isWorded(words: RefusalWords, text: string): boolean {
  return words.texts.some((pattern) => pattern.test(text));
}
