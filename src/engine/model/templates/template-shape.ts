/** A message as chat templates take it. */
export interface TemplateMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface RenderOptions {
  /** Whether contents are lists of parts, `[{ type: "text", text }]`, instead of texts. */
  readonly inParts: boolean;
  /** Whether the beginning of the next answer is written: the variable `add_generation_prompt`. */
  readonly begin: boolean;
}

/** Renders messages with a chat template. @throws Error when the template refuses them. */
export type RenderMessages = (messages: readonly TemplateMessage[], options: RenderOptions) => string;

/** What a chat template takes. */
export interface TemplateShape {
  /** Whether contents must be lists of parts. */
  readonly inParts: boolean;
  /** Whether the template writes a system message before the turns, cannot do without one, or does not write it. */
  readonly system: "written" | "needed" | "refused";
  /** Whether the template writes earlier turns. Without them it takes one message of a user. */
  readonly history: boolean;
}

type Role = TemplateMessage["role"];

/**
 * Finds out what a template takes by rendering short conversations. A conversation counts as taken if the template
 * renders it without an error and writes all of its contents in their order.
 *
 * @param word a text for the content with this number, which the template writes nowhere by itself
 * @throws Error with the template's own message, when it takes not even one message of a user
 */
export function probeTemplate(render: RenderMessages, word: (index: number) => string): TemplateShape {
  const fault = (inParts: boolean, roles: readonly Role[]): Error | undefined => {
    const messages = roles.map((role, index) => ({ role, content: word(index) }));
    try {
      const text = render(messages, { inParts, begin: true });
      return areInOrder(text, messages) ? undefined : new Error("it leaves out messages");
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
  const takes = (inParts: boolean, ...roles: Role[]): boolean => fault(inParts, roles) === undefined;

  const taken = [false, true].flatMap((inParts) =>
    [false, true]
      .filter((needed) => takes(inParts, ...before(needed), "user"))
      .map((needed) => ({ inParts, needed })),
  )[0];
  if (taken === undefined) throw fault(false, ["user"]) ?? new Error("it takes no message of a user");
  const { inParts, needed } = taken;
  const lead = before(needed);
  const history = takes(inParts, ...lead, "user", "assistant", "user");
  const written =
    takes(inParts, "system", "user") && (!history || takes(inParts, "system", "user", "assistant", "user"));
  return { inParts, system: needed ? "needed" : written ? "written" : "refused", history };
}

function before(needed: boolean): Role[] {
  return needed ? ["system"] : [];
}

/** Whether a text has all contents, each after the one before it. */
function areInOrder(text: string, messages: readonly TemplateMessage[]): boolean {
  let from = 0;
  for (const { content } of messages) {
    const at = text.indexOf(content, from);
    if (at < 0) return false;
    from = at + content.length;
  }
  return true;
}
