/** What Waybill is held to, as data. Each is a figure of one scenario as a ratio to the bare proxy in the same run. */

export type Figure = 'requestsPerSecond' | 'chunksPerSecond' | 'cpuPerRequest' | 'cpuPerChunk';

export interface Goal {
  scenario: string;
  figure: Figure;
  /** The ratio may not be above, or not below. */
  bound: 'at-most' | 'at-least';
  ratio: number;
}

export const GOALS: readonly Goal[] = [
  { scenario: 'chat-16', figure: 'requestsPerSecond', bound: 'at-least', ratio: 0.5 },
  { scenario: 'chat-64', figure: 'requestsPerSecond', bound: 'at-least', ratio: 0.5 },
  { scenario: 'chat-16', figure: 'cpuPerRequest', bound: 'at-most', ratio: 2 },
  { scenario: 'chat-64', figure: 'cpuPerRequest', bound: 'at-most', ratio: 2 },
  { scenario: 'prompt-100k', figure: 'cpuPerRequest', bound: 'at-most', ratio: 2 },
  { scenario: 'embeddings', figure: 'cpuPerRequest', bound: 'at-most', ratio: 2 },
  { scenario: 'stream-fast-16', figure: 'cpuPerChunk', bound: 'at-most', ratio: 1.5 },
  { scenario: 'stream-fast-64', figure: 'cpuPerChunk', bound: 'at-most', ratio: 1.5 },
  { scenario: 'stream-paced-50', figure: 'cpuPerChunk', bound: 'at-most', ratio: 1.5 },
  { scenario: 'stream-paced-200', figure: 'cpuPerChunk', bound: 'at-most', ratio: 1.5 },
];

/** Resident memory may grow by this much between the second quarter and the last quarter of a long run. */
export const RSS_DRIFT_BYTES = 10 * 1024 * 1024;

/** One ratio over the rounds of a run: its median, and half of its range, which is what the run cannot tell apart. */
export interface Ratio {
  median: number;
  noise: number;
}

export type Verdict = 'met' | 'within noise' | 'missed';

export function judge(goal: Goal, measured: Ratio): Verdict {
  const short = goal.bound === 'at-most' ? measured.median - goal.ratio : goal.ratio - measured.median;
  if (short <= 0) return 'met';
  return short <= measured.noise ? 'within noise' : 'missed';
}

export function ratioOf(rounds: readonly number[]): Ratio {
  return { median: median(rounds), noise: (Math.max(...rounds) - Math.min(...rounds)) / 2 };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
