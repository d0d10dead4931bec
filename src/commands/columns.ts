/** Lines of cells under their titles, for people; columns of figures stand to the right. Titles come first. */
export function drawColumns(titles: readonly string[], lines: readonly string[][], figures: readonly number[]): string {
  const cells = [titles, ...lines].map((line) => line.map(printable));
  const widths = titles.map((_, column) => Math.max(...cells.map((line) => (line[column] ?? '').length)));
  const pad = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    return figures.includes(column) ? cell.padStart(width) : cell.padEnd(width);
  };
  return cells.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}

/** Names may come from elsewhere: control characters would drive the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
