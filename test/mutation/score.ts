/** What became of the lines of one file. */
export interface FileScore {
  file: string;
  /** `by`: the test that failed without the line; null when none did. */
  results: Array<{ line: number; text: string; by: string | null }>;
}

/** A file's figures, and below them each line that no test misses. */
export function fileLine({ file, results }: FileScore): string {
  const survivors = results.filter(({ by }) => by === null);
  const head = `${file}: ${results.length - survivors.length} of ${results.length}`;
  return [head, ...survivors.map(({ line, text }) => `  ${file}:${line}  ${text}`)].join('\n');
}

/** The figures of all; of a sample with the interval that the score of all lines is in, 19 times out of 20. */
export function summary(scores: readonly FileScore[], total: number): string {
  const results = scores.flatMap((score) => score.results);
  const killed = results.filter(({ by }) => by !== null).length;
  const text = `${killed} of ${results.length} killed: ${percent(killed / results.length)}`;
  if (results.length === total) return text;
  const [low, high] = wilson(killed, results.length);
  return `${text} (a sample of ${total}: ${percent(low)} to ${percent(high)} at 95 %)`;
}

/** Wilson's interval of a share, at 95 %. Source: https://doi.org/10.1080/01621459.1927.10502953 */
export function wilson(hits: number, count: number): [number, number] {
  const z = 1.96;
  const share = hits / count;
  const middle = share + (z * z) / (2 * count);
  const spread = z * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  const scale = 1 + (z * z) / count;
  return [(middle - spread) / scale, (middle + spread) / scale];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
