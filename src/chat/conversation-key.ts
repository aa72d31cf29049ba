/**
 * Key that identifies a conversation among those of all clients, for providers that cache state by conversation. `name`
 * is the name of a conversation, which contains no blank and no slash, or a command name with a leading slash for
 * prompts that are not part of a conversation.
 */
export function conversationKey(client: string, name: string): string {
  return `${name} ${client}`;
}
