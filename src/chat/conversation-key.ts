/**
 * Key of a conversation over all clients, for providers that keep something of it. `name`: of the conversation, which
 * holds no blank and no slash, or of a command with a slash before it, whose prompts stand apart.
 */
export function conversationKey(client: string, name: string): string {
  return `${name} ${client}`;
}
