/**
 * Reads CSV per RFC 4180: quotes, doubled quotes, line ends within quotes, LF, CRLF and CR, a byte order mark before it
 * all. Empty lines are left out. The header says whether commas, semicolons or tabs stand between cells.
 * Each line keeps its number in the file, from 1.
 * @throws RangeError where a quote is never closed, naming its line
 */
export function parseCsv(text: string): Array<{ line: number; cells: string[] }> {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const separator = separatorOf(source);
  const rows: Array<{ line: number; cells: string[] }> = [];
  let cells: string[] = [];
  let cell = '';
  let line = 1;
  let rowLine = 1;
  let quotedSince: number | null = null;

  const endCell = () => {
    cells.push(cell);
    cell = '';
  };
  const endRow = () => {
    endCell();
    if (cells.length > 1 || cells[0]?.trim() !== '') rows.push({ line: rowLine, cells });
    cells = [];
  };

  for (let at = 0; at < source.length; at += 1) {
    const character = source[at] as string;
    const isLineEnd = character === '\n' || (character === '\r' && source[at + 1] !== '\n');
    if (isLineEnd) line += 1;
    if (quotedSince !== null) {
      if (character !== '"') cell += character;
      else if (source[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quotedSince = null;
    } else if (character === '"' && cell.trim() === '') {
      cell = '';
      quotedSince = line;
    } else if (character === separator) endCell();
    else if (isLineEnd) {
      endRow();
      rowLine = line;
    } else if (character !== '\r') cell += character;
  }
  if (quotedSince !== null) throw new RangeError(`the quote that opens in line ${quotedSince} is never closed`);
  endRow();
  return rows;
}

/** What stands most often in the first line that has anything, outside of quotes. */
function separatorOf(source: string): string {
  const header = (/^[^\r\n]*\S[^\r\n]*/m.exec(source)?.[0] ?? '').replace(/"[^"]*"/g, '');
  const counts = [',', ';', '\t'].map((separator) => ({ separator, count: header.split(separator).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).separator;
}
