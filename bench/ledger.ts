import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CostQuery, GroupBy, Ledger, LedgerEntry } from '../src/domain/ledger.js';
import type { Clock, Logger } from '../src/domain/ports.js';
import { noCounts } from '../src/domain/usage.js';
import { openSqliteLedger } from '../src/ledger/sqlite/sqlite-ledger.js';
import { figure, type SingleFigure } from './figures.js';
import { median } from './goals.js';

interface BenchOptions {
  requests: number;
  progress(text: string): void;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What the generated requests are spread over, up to this instant. */
const DAYS = 30;
const END = Date.UTC(2026, 10, 20);
/** Requests under way at once while filling. */
const LANES = 1_000;
const ALONE = 3_000;
const ROUNDS = 5;
const WRITE_ROUNDS = 3;

const say = () => {};
const logger: Logger = { trace: say, debug: say, info: say, warn: say, error: say, fatal: say };
const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
};

/** How fast requests are recorded: many at once (the quickest round, for other programs run too), and one alone. */
export async function measureWrites({ requests, progress }: BenchOptions): Promise<SingleFigure[]> {
  return withLedger(async (ledger) => {
    const rounds: number[] = [];
    const cpuMicros: number[] = [];
    for (let round = 1; round <= WRITE_ROUNDS; round += 1) {
      const cpu = process.cpuUsage();
      const start = performance.now();
      await fill(ledger, { prefix: `many-${round}`, requests, spanMs: MINUTE_MS });
      rounds.push(requests / ((performance.now() - start) / 1000));
      const { user, system } = process.cpuUsage(cpu);
      cpuMicros.push((user + system) / requests);
      progress(`${requests} requests, ${LANES} at once: ${rounds.map(Math.round).join(', ')} a second`);
    }
    progress(`${ALONE} requests, one after the other`);
    const kind = describeKind(1);
    const times: number[] = [];
    for (let index = 0; index < ALONE; index += 1) {
      const id = idOf('alone', index);
      const begin = performance.now();
      await ledger.write(intentOf(kind, id, END));
      await ledger.write(endOf(kind, id, END));
      times.push(performance.now() - begin);
    }
    return [
      figure('group commit, settled', Math.max(...rounds), 'requests/s', { bound: 'at-least', value: 30_000 }),
      figure('CPU of it, the bench itself included', Math.min(...cpuMicros), 'µs/request', null),
      figure('intent and settle, alone', median(times), 'ms', { bound: 'at-most', value: 1 }),
    ];
  });
}

/** How fast a large ledger is opened and reported on. */
export async function measureReports({ requests, progress }: BenchOptions): Promise<SingleFigure[]> {
  return withLedger(async (first, reopen, path) => {
    progress(`filling a ledger with ${requests} requests of ${DAYS} days`);
    await fill(first, { prefix: 'r', requests, spanMs: DAYS * DAY_MS });
    await first.close();
    const begin = performance.now();
    const ledger = reopen();
    const opened = performance.now() - begin;
    const reader = ledger.reader();
    const report = (name: string, limit: number, query: Partial<CostQuery>) => {
      const asked = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC', ...query };
      const ms = timed(() => reader.summarise(asked));
      progress(`${name}: ${ms.toFixed(1)} ms`);
      return figure(name, ms, 'ms', { bound: 'at-most', value: limit });
    };
    const by = (...groupBy: GroupBy[]) => ({ groupBy });
    const lastDay = { from: END - DAY_MS, to: END };
    const ids = Array.from({ length: 10_000 }, (_, index) => idOf('r', Math.floor((index * requests) / 10_000)));
    return [
      figure('size', statSync(path).size / 1e6, 'MB', null),
      figure('opening', opened, 'ms', { bound: 'at-most', value: 1_000 }),
      report('report: all in one', 200, {}),
      report('report: by client and model', 200, by('client', 'model')),
      report('report: by provider, model and key', 200, by('provider', 'provider_model', 'key')),
      report('report: by day, in Berlin', 200, { ...by('day', 'provider'), timeZone: 'Europe/Berlin' }),
      report('report: by hour', 200, by('hour')),
      report('report: by month, from and to odd minutes', 200, {
        ...by('month', 'client'),
        from: END - 20 * DAY_MS + 61_000,
        to: END - 61_000,
      }),
      report('report: what one client spent', 200, { filters: { client: ['client-1'] } }),
      report('report: a day by tag, from rows', 1_000, { ...by('tag:team'), ...lastDay }),
      report('report: a day by hour in Kathmandu, from rows', 1_000, {
        ...by('hour', 'client'),
        ...lastDay,
        timeZone: 'Asia/Kathmandu',
      }),
      figure(
        'costs of 10000 ids',
        timed(() => reader.costsOf(ids, { client: null, provider: null })),
        'ms',
        {
          bound: 'at-most',
          value: 200,
        },
      ),
    ];
  });
}

/** The median of some rounds, the first of which pays for reading from the disk and counts too. */
function timed(run: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  });
  return median(times);
}

/** A ledger of a month, for a daemon to open. */
export async function fillMonth(path: string, requests: number): Promise<void> {
  const ledger = openSqliteLedger({ path, durability: 'process', clock, logger });
  try {
    await fill(ledger, { prefix: 'r', requests, spanMs: DAYS * DAY_MS });
  } finally {
    await ledger.close();
  }
}

async function withLedger<T>(use: (ledger: Ledger, reopen: () => Ledger, path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  const path = join(folder, 'waybill.db');
  const opened: Ledger[] = [];
  const open = () => {
    const ledger = openSqliteLedger({ path, durability: 'process', clock, logger });
    opened.push(ledger);
    return ledger;
  };
  try {
    return await use(open(), open, path);
  } finally {
    for (const ledger of opened) await ledger.close();
    rmSync(folder, { recursive: true });
  }
}

/** Requests received over a span of time up to `END`. */
async function fill(ledger: Ledger, place: { prefix: string; requests: number; spanMs: number }): Promise<void> {
  const { prefix, requests, spanMs } = place;
  const kinds = Array.from({ length: KINDS }, (_, kind) => describeKind(kind));
  let next = 0;
  const lane = async () => {
    while (next < requests) {
      const index = next;
      next += 1;
      const receivedAt = Math.floor(END - spanMs + (index / requests) * spanMs);
      const kind = kindOf(kinds, index);
      const id = idOf(prefix, index);
      await ledger.write(intentOf(kind, id, receivedAt));
      await ledger.write(endOf(kind, id, receivedAt));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** Kinds of request there are; every part below divides it. */
const KINDS = 2 * 3 * 5 * 7 * 11;
type Kind = ReturnType<typeof describeKind>;

/** Made once for each kind, so that the bench spends its time in the ledger. */
function describeKind(kind: number) {
  const model = kind % 7;
  const input = 100 + kind;
  const output = 20 + (kind % 500);
  const isFailed = kind % 55 === 0;
  return {
    isFailed,
    stream: kind % 2 === 0,
    client: `client-${kind % 11}`,
    tags: { team: `team-${kind % 5}` },
    model: `model-${model}`,
    provider: `provider-${model % 3}`,
    providerModel: `vendor/model-${model}`,
    key: `provider-${model % 3}-${kind % 2}`,
    priceId: `price-${model}`,
    usage: isFailed ? null : { counts: { ...noCounts(), input, output }, source: 'reported' as const },
    costNanoUsd: isFailed ? 0n : BigInt(input * 150 + output * 600),
    components: isFailed
      ? []
      : [
          { class: 'input' as const, units: input, ratePerMillion: 150_000_000n },
          { class: 'output' as const, units: output, ratePerMillion: 600_000_000n },
        ],
  };
}

function kindOf(kinds: readonly Kind[], index: number): Kind {
  return kinds[(Math.imul(index, 2_654_435_761) >>> 8) % kinds.length] as Kind;
}

function intentOf(kind: Kind, inferenceId: string, receivedAt: number): LedgerEntry {
  return {
    request: {
      inferenceId,
      receivedAt,
      client: kind.client,
      tags: kind.tags,
      endpoint: '/v1/chat/completions',
      task: 'chat',
      model: kind.model,
      region: null,
      stream: kind.stream,
      configGeneration: 1,
    },
    attemptIntent: {
      inferenceId,
      attempt: 1,
      sentAt: receivedAt + 2,
      provider: kind.provider,
      providerModel: kind.providerModel,
      key: kind.key,
      region: null,
      heldNanoUsd: 5_000_000n,
      priceId: kind.priceId,
      reservedTokens: 1_500,
    },
  };
}

function endOf(kind: Kind, inferenceId: string, receivedAt: number): LedgerEntry {
  const outcome = kind.isFailed ? 'failed' : 'ok';
  const status = kind.isFailed ? 503 : 200;
  return {
    attemptSettlement: {
      inferenceId,
      attempt: 1,
      endedAt: receivedAt + 900,
      firstByteAt: receivedAt + 250,
      outcome,
      status,
      errorCode: kind.isFailed ? 'overloaded' : null,
      usage: kind.usage,
      costNanoUsd: kind.costNanoUsd,
      unpricedReason: null,
      priceId: kind.priceId,
      components: kind.components,
      providerCostUsd: null,
    },
    requestSettlement: { inferenceId, endedAt: receivedAt + 901, outcome, status, errorCode: null, decision: null },
  };
}

/** In the order of time, as the ids of requests are. */
function idOf(prefix: string, index: number): string {
  return `${prefix}-${String(index).padStart(9, '0')}`;
}
