/** Lines of cells per RFC 4180. */
export function csvLines(lines: ReadonlyArray<readonly string[]>): string {
  return lines.map((cells) => `${cells.join(',')}\r\n`).join('');
}

/**
 * A cell of text. One that a spreadsheet would run as a formula gets an apostrophe first (OWASP, "CSV Injection"):
 * models, tags and clients are named by others.
 */
export function csvText(text: string): string {
  const safe = /^\s*[=+\-@|%]|^[\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
