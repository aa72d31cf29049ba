import { AnswerText } from "./answer-text.ts";

/** The part of an answer that was received before the page was reloaded. */
export interface PartialAnswer {
  /** Id of the answer. Undefined if the server had not sent it yet. */
  readonly answer?: string;
  /** Text received so far. */
  readonly text: string;
  /** Reasoning received so far. */
  readonly reasoning?: string | undefined;
}

/** A message whose answer has not ended yet. */
export interface Pending {
  readonly id: string;
  readonly conversation: string;
  /** Text of the message. Undefined if another page sent it. */
  readonly message: string | undefined;
  text: AnswerText;
  reasoning: AnswerText;
  /** Id of the answer. Undefined until the server has sent it. */
  answer: string | undefined;
  /** How often the message was sent or resumed since text was last received. */
  tries: number;
  cancelling: boolean;
  /** Whether the answer was resumed on the current socket, so that the message must not be sent again. */
  resumed: boolean;
}

/** A message that was not sent yet, or whose answer is known in part. */
export function newPending(
  id: string,
  conversation: string,
  message: string | undefined,
  partial?: PartialAnswer,
): Pending {
  return {
    id,
    conversation,
    message,
    text: new AnswerText(partial?.text),
    reasoning: new AnswerText(partial?.reasoning),
    answer: partial?.answer,
    tries: 0,
    cancelling: false,
    resumed: false,
  };
}

/** Names the answer if another page sent the message. Otherwise names the message, whose answer may be unknown yet. */
export function cancelFrame({ id, conversation, message, answer }: Pending): object {
  return message === undefined ? { type: "cancel", answer } : { type: "cancel", id, conversation };
}
