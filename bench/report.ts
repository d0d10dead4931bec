import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Figure, GOALS, type Goal, judge, type Spread, spreadOf, type Verdict } from './goals.js';
import { type Measurement, medians, type Subject } from './measure.js';
import type { MemoryResult } from './memory.js';
import type { Scenario } from './scenarios.js';

/** Every turn of one scenario, by subject; the n-th of each belong to the same round. */
export interface ScenarioResult {
  scenario: Scenario;
  rounds: Partial<Record<Subject['name'], Measurement[]>>;
}

export interface GoalResult extends Goal {
  measured: Spread;
  verdict: Verdict;
}

const MIB = 1024 * 1024;

export function judgeAll(results: readonly ScenarioResult[]): GoalResult[] {
  return GOALS.flatMap((goal) => {
    const result = results.find(({ scenario }) => scenario.id === goal.scenario);
    const rounds = result === undefined ? null : compared(result, goal);
    if (rounds === null) return [];
    const measured = spreadOf(rounds);
    return [{ ...goal, measured, verdict: judge(goal, measured) }];
  });
}

/** Waybill's figure beside the other's, round by round; null when one of them was not measured. */
function compared(
  { rounds }: ScenarioResult,
  { figure, against, by }: Pick<Goal, 'figure' | 'against' | 'by'>,
): number[] | null {
  const { [against]: other, waybill } = rounds;
  if (other === undefined || waybill === undefined) return null;
  return waybill.map((own, round) => {
    const theirs = (other[round] as Measurement)[figure];
    return by === 'ratio' ? own[figure] / theirs : own[figure] - theirs;
  });
}

export function table(results: readonly ScenarioResult[]): string {
  const head = [
    'scenario',
    'through',
    'req/s',
    'p50 ms',
    'p99 ms',
    'µs/req',
    'chunks/s',
    'µs/chunk',
    '1st byte ms',
    'RSS MiB',
    'cores: self load upstr',
  ];
  const lines = results.flatMap((result) => linesOf(result));
  const all = [head, ...lines];
  const widths = head.map((_, column) => Math.max(...all.map((line) => (line[column] ?? '').length)));
  return all
    .map((line) =>
      line
        .map((cell, at) => (at < 2 ? cell.padEnd(widths[at] as number) : cell.padStart(widths[at] as number)))
        .join('  '),
    )
    .join('\n');
}

function linesOf(result: ScenarioResult): string[][] {
  const lines: string[][] = [];
  for (const [name, rounds] of Object.entries(result.rounds)) {
    const m = medians(rounds);
    const perChunk = result.scenario.streaming && name !== 'direct';
    lines.push([
      result.scenario.id,
      name,
      m.requestsPerSecond.toFixed(0),
      m.latencyP50Ms.toFixed(2),
      m.latencyP99Ms.toFixed(2),
      name === 'direct' ? '' : m.cpuPerRequest.toFixed(1),
      result.scenario.streaming ? m.chunksPerSecond.toFixed(0) : '',
      perChunk ? m.cpuPerChunk.toFixed(2) : '',
      m.firstByteP50Ms.toFixed(2),
      name === 'direct' ? '' : (m.rssBytes / MIB).toFixed(0),
      [m.subjectCores, m.loadCores, m.upstreamCores].map((cores) => cores.toFixed(2)).join(' '),
    ]);
  }
  const ratios = (figure: Figure) => {
    const each = compared(result, { figure, against: 'bare', by: 'ratio' });
    if (each === null) return '';
    const { median, noise } = spreadOf(each);
    return `${median.toFixed(2)}x ±${noise.toFixed(2)}`;
  };
  const { bare, waybill, direct } = result.rounds;
  if (bare !== undefined && waybill !== undefined) {
    const added = (pick: (m: Measurement) => number, from: Measurement[]) =>
      signed(pick(medians(waybill)) - pick(medians(from)));
    lines.push([
      '',
      'ratio to bare',
      ratios('requestsPerSecond'),
      added((m) => m.latencyP50Ms, bare),
      added((m) => m.latencyP99Ms, bare),
      ratios('cpuPerRequest'),
      result.scenario.streaming ? ratios('chunksPerSecond') : '',
      result.scenario.streaming ? ratios('cpuPerChunk') : '',
      direct === undefined ? '' : `${added((m) => m.firstByteP50Ms, direct)} on direct`,
      '',
      '',
    ]);
  }
  return lines;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(2)}`;
}

export function goalLines(goals: readonly GoalResult[]): string {
  return goals
    .map((goal) => {
      const { scenario, figure, against, bound, value, verdict } = goal;
      const wanted = `${bound.replace('-', ' ')} ${value}${unitOf(goal)}`;
      return `${verdict.padEnd(12)}  ${scenario} ${figure} against ${against}: ${spreadText(goal)}, goal ${wanted}`;
    })
    .join('\n');
}

function spreadText(goal: GoalResult): string {
  const { median, noise } = goal.measured;
  const sign = goal.by === 'difference' && median > 0 ? '+' : '';
  return `${sign}${median.toFixed(2)}${unitOf(goal)} ±${noise.toFixed(2)}`;
}

function unitOf({ by }: Pick<Goal, 'by'>): string {
  return by === 'ratio' ? 'x' : ' ms';
}

export function memoryLine(memory: MemoryResult): string {
  const mib = (bytes: number) => (bytes / MIB).toFixed(1);
  const range = `${mib(Math.min(...memory.samples))} to ${mib(Math.max(...memory.samples))} MiB`;
  return `${memory.isMet ? 'met' : 'missed'}  RSS over ${memory.requests} requests: ${range}, drift ${mib(memory.driftBytes)} MiB`;
}

/** Adds one dated line to RESULTS.md. */
export function record(line: string): void {
  const file = fileURLToPath(new URL('./RESULTS.md', import.meta.url));
  const date = new Date().toISOString().slice(0, 10);
  appendFileSync(file, `| ${date} | ${commit()} | Node ${process.versions.node}, ${cpus().length} cores | ${line} |\n`);
}

/** The run's comparisons in one line. */
export function summary(goals: readonly GoalResult[]): string {
  return goals
    .map(
      (goal) =>
        `${goal.scenario} ${goal.figure}${goal.against === 'bare' ? '' : ` against ${goal.against}`} ${spreadText(goal)}`,
    )
    .join('; ');
}

function commit(): string {
  try {
    const cwd = fileURLToPath(new URL('..', import.meta.url));
    return execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=10'], { cwd, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
