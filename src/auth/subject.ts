const MAX_SUBJECT_CHARS = 256;

/** Why a subject (`sub`) is not usable as the id of a client; undefined when it is. */
export function subjectFault(subject: unknown): string | undefined {
  if (typeof subject !== "string" || subject.trim() === "") return "must be a non-empty string";
  if (subject.length > MAX_SUBJECT_CHARS) return `must have at most ${MAX_SUBJECT_CHARS} characters`;
  // The subject is part of logs, frames and keys. Cs are lone surrogates, which UTF-8 frames cannot contain.
  return /[\p{Cc}\p{Cs}]/u.test(subject) ? "must not contain control characters" : undefined;
}
