const MAX_SUBJECT_CHARS = 256;

/** What is wrong with a subject (`sub`) as the id of a client, or undefined when nothing is. */
export function subjectFault(subject: unknown): string | undefined {
  if (typeof subject !== "string" || subject.trim() === "") return "must be a text that is not empty";
  if (subject.length > MAX_SUBJECT_CHARS) return `must have at most ${MAX_SUBJECT_CHARS} characters`;
  // It stands in logs, frames and keys. Cs: halves of surrogate pairs, which no UTF-8 frame can carry.
  return /[\p{Cc}\p{Cs}]/u.test(subject) ? "must not hold control characters" : undefined;
}
