import type { Figure } from './goals.js';
import { median } from './goals.js';
import type { LoadResult } from './load.js';
import { cpuMicros, type LoadGenerator, rssBytes } from './processes.js';
import type { Scenario } from './scenarios.js';

/** Something under load: the upstream itself, the bare proxy, or Waybill. */
export interface Subject {
  name: 'direct' | 'bare' | 'waybill' | 'portkey';
  pid: number;
  port: number;
  /** What its requests carry beside the usual. */
  headers?: Readonly<Record<string, string>>;
}

/** One turn of one subject in one scenario. CPU is the subject's own, in microseconds, as the kernel counted it. */
export interface Measurement extends Record<Figure, number> {
  rssBytes: number;
  /** CPU of the load generator and the upstream meanwhile, as shares of one core: to see that neither was full. */
  loadCores: number;
  upstreamCores: number;
  subjectCores: number;
}

export interface Turn {
  load: LoadGenerator;
  upstreamPid: number;
  subject: Subject;
  scenario: Scenario;
  warmUpMs: number;
  durationMs: number;
}

/** @throws when any answer was wrong: a figure of failing requests is no figure */
export async function measure(turn: Turn): Promise<Measurement> {
  const { scenario, subject } = turn;
  const order = {
    port: subject.port,
    path: scenario.path,
    body: scenario.body,
    concurrency: scenario.concurrency,
    headers: subject.headers ?? {},
    spreadMs: scenario.spreadMs,
    requests: null,
  };
  requireClean(await turn.load.run({ ...order, durationMs: turn.warmUpMs }), turn);
  const before = { subject: cpuMicros(subject.pid), upstream: cpuMicros(turn.upstreamPid) };
  const result = requireClean(await turn.load.run({ ...order, durationMs: turn.durationMs }), turn);
  const cpu = cpuMicros(subject.pid) - before.subject;
  const elapsedMicros = result.elapsedMs * 1000;
  return {
    requestsPerSecond: (result.requests * 1000) / result.elapsedMs,
    chunksPerSecond: (result.chunks * 1000) / result.elapsedMs,
    cpuPerRequest: cpu / result.requests,
    cpuPerChunk: cpu / result.chunks,
    latencyP50Ms: result.latencyMs.p50,
    latencyP99Ms: result.latencyMs.p99,
    firstByteP50Ms: result.firstByteMs.p50,
    rssBytes: rssBytes(subject.pid),
    loadCores: result.cpuMicros / elapsedMicros,
    upstreamCores: (cpuMicros(turn.upstreamPid) - before.upstream) / elapsedMicros,
    subjectCores: cpu / elapsedMicros,
  };
}

/** Each figure's median over the rounds. */
export function medians(rounds: readonly Measurement[]): Measurement {
  const first = rounds[0] as Measurement;
  const names = Object.keys(first) as Array<keyof Measurement>;
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name]))]),
  ) as unknown as Measurement;
}

function requireClean(result: LoadResult, turn: Turn): LoadResult {
  if (result.errors > 0 || result.requests === 0) {
    throw new Error(
      `${turn.subject.name}, ${turn.scenario.id}: ${result.errors} failed and ${result.requests} answered; first: ${result.firstError}`,
    );
  }
  return result;
}
