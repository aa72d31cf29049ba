function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * The JSON in an answer: as it is, without a code fence around it, or without the words before and after it, which
 * models that were only asked for JSON like to add. Null when there is none. Whether it satisfies its schema is checked
 * by the caller of the provider.
 */
export function jsonOf(answer: string): string | null {
  const text = answer.trim();
  const fenced = /^```[a-z]*\s*\n([\s\S]*)\n\s*```$/i.exec(text)?.[1]?.trim();
  const object = text.slice(Math.max(text.indexOf("{"), 0), text.lastIndexOf("}") + 1);
  for (const candidate of [text, fenced, object]) {
    if (candidate && parses(candidate)) return candidate;
  }
  return null;
}
