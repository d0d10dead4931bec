/** What takes thousands of something: open streams, rows at start, clients, keys and models. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, type SingleFigure } from './figures.js';
import { IDLE_RSS_BYTES, IDLE_STREAMS, median, START_MS, STATE_RATIO, spreadOf } from './goals.js';
import { fillMonth } from './ledger.js';
import { type Measurement, measure } from './measure.js';
import { type LoadGenerator, rssBytes, type Started, startWaybill } from './processes.js';
import { IDLE_STREAM, SCENARIOS } from './scenarios.js';

const MB = 1e6;
const HOLD_MS = 5_000;
const LOOK_MS = 200;
/** Files that a process needs beside its connections. */
const OTHER_FILES = 200;
const STARTS = 7;
const STATE_SCENARIOS = ['chat-16', 'chat-64', 'prompt-100k', 'embeddings', 'stream-fast-64'];
const TIMING = { firstWarmUpMs: 5_000, warmUpMs: 1_000, durationMs: 3_000 };

interface Options {
  load: LoadGenerator;
  upstream: Started;
  progress(text: string): void;
}

/** Streams that are open and say nothing: resident memory with all of them. */
export async function measureIdle({ load, upstream, progress }: Options): Promise<SingleFigure[]> {
  const waybill = await startWaybill({ upstreamPort: upstream.port });
  try {
    const before = rssBytes(waybill.pid);
    const streams = Math.min(IDLE_STREAMS, Math.floor((fileLimit() - OTHER_FILES) / 2));
    if (streams < IDLE_STREAMS) progress(`${streams} streams: each takes two files, and a process may open no more`);
    let last = before;
    const look = setInterval(() => {
      last = rssBytes(waybill.pid);
      progress(`${(last / MB).toFixed(0)} MB`);
    }, LOOK_MS);
    const order = { ...IDLE_STREAM, port: waybill.port, concurrency: streams, requests: null, durationMs: null };
    const result = await load.run({ ...order, holdMs: HOLD_MS });
    clearInterval(look);
    if (result.errors > 0) throw new Error(`${result.errors} streams failed; first: ${result.firstError}`);
    return [
      figure('resident before', before / MB, 'MB', null),
      figure(`resident with ${streams} idle streams`, last / MB, 'MB', {
        bound: 'at-most',
        value: (IDLE_RSS_BYTES / MB) * (streams / IDLE_STREAMS),
      }),
    ];
  } finally {
    await waybill.stop();
  }
}

/** From the start of the process until it says that it is ready, with a ledger of so many requests. */
export async function measureStart({ upstream, progress }: Options, requests: number): Promise<SingleFigure[]> {
  return withLedger(requests, progress, async (ledger) => {
    const times: number[] = [];
    for (let round = 0; round < STARTS; round += 1) {
      const begin = performance.now();
      const waybill = await startWaybill({ upstreamPort: upstream.port, ledger, lookEveryMs: 5 });
      times.push(performance.now() - begin);
      progress(`ready after ${times.at(-1)?.toFixed(0)} ms`);
      await waybill.stop();
    }
    const goal = { bound: 'at-most', value: START_MS } as const;
    return [
      figure(`ready, the quickest of ${STARTS}`, Math.min(...times), 'ms', null),
      figure('ready, the median', median(times), 'ms', goal, spreadOf(times).noise),
    ];
  });
}

/** The same work with a handful and with thousands of clients, keys and models and a full ledger, in turns. */
export async function measureState(options: Options, requests: number, rounds: number): Promise<SingleFigure[]> {
  const { load, upstream, progress } = options;
  return withLedger(requests, progress, async (ledger) => {
    const small = await startWaybill({ upstreamPort: upstream.port });
    const large = await startWaybill({ upstreamPort: upstream.port, ledger, size: 'large' });
    try {
      const figures: SingleFigure[] = [];
      for (const scenario of SCENARIOS.filter(({ id }) => STATE_SCENARIOS.includes(id))) {
        const turn = async (started: Started, round: number): Promise<Measurement> => {
          const warmUpMs = round === 0 ? TIMING.firstWarmUpMs : TIMING.warmUpMs;
          const subject = { name: 'waybill' as const, pid: started.pid, port: started.port };
          const { durationMs } = TIMING;
          return measure({ load, upstreamPid: upstream.pid, subject, scenario, warmUpMs, durationMs });
        };
        const ratios: number[] = [];
        for (let round = 0; round < rounds; round += 1) {
          progress(`${scenario.title}: round ${round + 1} of ${rounds}`);
          const first = await turn(round % 2 === 0 ? small : large, round);
          const second = await turn(round % 2 === 0 ? large : small, round);
          const [few, many] = round % 2 === 0 ? [first, second] : [second, first];
          ratios.push(many.cpuPerRequest / few.cpuPerRequest);
        }
        const spread = spreadOf(ratios);
        const goal = { bound: 'at-most', value: STATE_RATIO } as const;
        figures.push(figure(`${scenario.id}, CPU, thousands over a handful`, spread.median, 'x', goal, spread.noise));
      }
      return figures;
    } finally {
      await small.stop();
      await large.stop();
    }
  });
}

async function withLedger<T>(
  requests: number,
  progress: Options['progress'],
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  try {
    const path = join(folder, 'waybill.db');
    progress(`filling a ledger with ${requests} requests`);
    await fillMonth(path, requests);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** How many files a process that is started here may have open. */
function fileLimit(): number {
  const match = /Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'));
  return Number(match?.[1] ?? IDLE_STREAMS);
}
