/** Longest names first, so that `ms` is not read as minutes. */
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const PART = String.raw`(\d+(?:\.\d+)?)(ms|us|µs|ns|[smhd])`;
const WHOLE = new RegExp(`^(?:${PART})+$`);
const PARTS = new RegExp(PART, 'g');

/**
 * A span of time as Go and protobuf's JSON write it: `88ms`, `6m0s`, `1h2m3.5s`, `34.074824224s`. Milliseconds, rounded
 * up; null for anything else.
 */
export function parseSpan(text: string): number | null {
  if (text.length > 64 || !WHOLE.test(text)) return null;
  let sum = 0;
  for (const [, figure, unit] of text.matchAll(PARTS)) sum += Number(figure) * (UNIT_MS[unit as string] as number);
  return Math.ceil(sum);
}
