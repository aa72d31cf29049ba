/**
 * A type rather than an interface, because the types of the SDKs have index signatures that interfaces do not satisfy.
 */
export type Message = {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
};

/** Body of `POST …/chat/completions`, limited to the fields that both SDKs and compatible servers support. */
export interface CompletionBody {
  readonly model: string;
  readonly messages: Message[];
  readonly stream: true;
  readonly stream_options?: { include_usage: true };
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly response_format?: {
    readonly type: "json_schema";
    readonly json_schema: {
      readonly name: string;
      readonly schema: Record<string, unknown>;
      readonly strict: boolean;
    };
  };
}
