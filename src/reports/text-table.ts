/** One column of a table for people. */
export interface Column<Row> {
  title: string;
  isText: boolean;
  cell(row: Row): string;
}

/**
 * A table as lines: titles, rows, and the line of totals below a rule. Without columns of text the totals are the only
 * row. `totals` gives the cells of figures; the first column of text says `total`.
 */
export function drawTable<Row>(columns: ReadonlyArray<Column<Row>>, rows: readonly Row[], totals: Row): string[] {
  const lines = rows.map((row) => columns.map((column) => column.cell(row)));
  const totalCells = columns.map((column, index) => {
    if (!column.isText) return column.cell(totals);
    return index === 0 ? 'total' : '';
  });
  const titles = columns.map((column) => column.title);
  const all = [titles, ...lines, totalCells];
  const widths = columns.map((_, index) => Math.max(...all.map((cells) => width(cells[index] ?? ''))));
  const draw = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.isText ?? true))
      .join('  ')
      .trimEnd();
  const rule = widths.map((count) => '-'.repeat(count)).join('  ');
  const body = columns[0]?.isText === true ? [...lines.map(draw), rule, draw(totalCells)] : [draw(totalCells)];
  return [draw(titles), rule, ...body];
}

/** Names come from outside: control characters would drive the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

/** With one decimal; what is more than nothing is never shown as 0.0. */
export function percent(part: bigint, whole: bigint): string {
  if (part === 0n || whole === 0n) return '0 %';
  return perMilleText((part * 1000n) / whole);
}

/** Thousandths as per cent, of something that is more than nothing. */
export function perMilleText(perMille: bigint): string {
  return perMille === 0n ? '<0.1 %' : `${perMille / 10n}.${perMille % 10n} %`;
}

function pad(cell: string, count: number, isText: boolean): string {
  const blank = ' '.repeat(Math.max(0, count - width(cell)));
  return isText ? cell + blank : blank + cell;
}

/** Characters, not UTF-16 units. */
function width(text: string): number {
  return [...text].length;
}
