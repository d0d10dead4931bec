/** What Waybill is held to, as data. Each is a figure of one scenario beside another subject's in the same run. */

export type Figure =
  | 'requestsPerSecond'
  | 'chunksPerSecond'
  | 'cpuPerRequest'
  | 'cpuPerChunk'
  | 'latencyP50Ms'
  | 'latencyP99Ms'
  | 'firstByteP50Ms';

export interface Goal {
  scenario: string;
  figure: Figure;
  against: 'bare' | 'direct' | 'portkey';
  /** Waybill's figure over the other's, or what it is more. */
  by: 'ratio' | 'difference';
  /** It may not be above, or not below. */
  bound: 'at-most' | 'at-least';
  value: number;
}

export const GOALS: readonly Goal[] = [
  ratio('chat-16', 'cpuPerRequest', 'at-most', 1.5),
  ratio('chat-64', 'cpuPerRequest', 'at-most', 1.5),
  ratio('chat-16', 'requestsPerSecond', 'at-least', 0.65),
  ratio('chat-64', 'requestsPerSecond', 'at-least', 0.65),
  { ...ratio('chat-16', 'cpuPerRequest', 'at-most', 0.1), against: 'portkey' },
  { ...ratio('chat-64', 'cpuPerRequest', 'at-most', 0.1), against: 'portkey' },
  { ...ratio('chat-1', 'latencyP50Ms', 'at-most', 0.15), by: 'difference' },
  { ...ratio('chat-1', 'latencyP99Ms', 'at-most', 1), by: 'difference' },
  ratio('prompt-100k', 'cpuPerRequest', 'at-most', 1.5),
  ratio('embeddings', 'cpuPerRequest', 'at-most', 1.2),
  ratio('stream-fast-64', 'chunksPerSecond', 'at-least', 0.7),
  ratio('stream-paced-50', 'cpuPerChunk', 'at-most', 1.2),
  ratio('stream-paced-200', 'cpuPerChunk', 'at-most', 1.2),
  { ...ratio('stream-paced-50', 'firstByteP50Ms', 'at-most', 1), by: 'difference', against: 'direct' },
];

/** Resident memory may grow by this much between the second quarter and the last quarter of a long run. */
export const RSS_DRIFT_BYTES = 10 * 1024 * 1024;
/** Resident memory with 10,000 streams open that say nothing. */
export const IDLE_STREAMS = 10_000;
export const IDLE_RSS_BYTES = 400 * 1024 * 1024;
/** From the process' start to its first 200 at `/health/ready`. */
export const START_MS = 500;
/** A configuration of thousands may cost so many times the CPU of one with a handful. */
export const STATE_RATIO = 1.1;

/** One comparison over the rounds of a run: its median, and half of its range, which is what the run cannot tell apart. */
export interface Spread {
  median: number;
  noise: number;
}

export type Verdict = 'met' | 'within noise' | 'missed';

export function judge(goal: Pick<Goal, 'bound' | 'value'>, measured: Spread): Verdict {
  const short = goal.bound === 'at-most' ? measured.median - goal.value : goal.value - measured.median;
  if (short <= 0) return 'met';
  return short <= measured.noise ? 'within noise' : 'missed';
}

export function spreadOf(rounds: readonly number[]): Spread {
  return { median: median(rounds), noise: (Math.max(...rounds) - Math.min(...rounds)) / 2 };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

function ratio(scenario: string, figure: Figure, bound: Goal['bound'], value: number): Goal {
  return { scenario, figure, against: 'bare', by: 'ratio', bound, value };
}
