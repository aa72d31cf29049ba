/**
 * Cells of the first Markdown table after `mark`, without the header.
 *
 * @throws Error if the page does not contain `mark`.
 */
export function tableAfter(page: string, mark: string): string[][] {
  const start = page.indexOf(mark);
  if (start === -1) throw new Error(`the page has no ${mark}`);
  const lines = page.slice(start).split("\n");
  const head = lines.findIndex((line) => line.startsWith("| ---") || line.startsWith("|---"));
  const rows: string[][] = [];
  for (const line of lines.slice(head + 1)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}
