/** Lines of a plain-text table. The first column is left-aligned, the others are aligned by `align`. */
export function tableLines(
  rows: readonly (readonly string[])[],
  align: "left" | "right" = "right",
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  const padded = (cell: string, column: number): string => {
    const width = widths[column] ?? 0;
    return column === 0 || align === "left" ? cell.padEnd(width) : cell.padStart(width);
  };
  return rows.map((row) => row.map(padded).join("  ").trimEnd());
}
