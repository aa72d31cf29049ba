import type { Submission } from "../chat/running-answer.ts";
import { hashOf } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { MessageFrame } from "../protocol/client-frames.ts";

/** What a message frame asks for, in the words of the chat layer. */
export function submissionOf(frame: MessageFrame, owner: Principal, ownConversation: string): Submission {
  const { message, id, conversation = ownConversation, max_tokens: maxTokens, temperature, seed } = frame;
  return {
    owner,
    conversation,
    message,
    // `stream` is a matter of the socket: the same message may be watched both ways.
    hash: id === undefined ? "" : hashOf(JSON.stringify([message, maxTokens, temperature, seed])),
    sampling: { ...(temperature !== undefined && { temperature }), ...(seed !== undefined && { seed }) },
    ...(id !== undefined && { id }),
    ...(maxTokens !== undefined && { maxTokens }),
  };
}
