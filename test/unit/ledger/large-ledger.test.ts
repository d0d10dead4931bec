import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CostQuery,
  type CostRow,
  GROUP_NAMES,
  type GroupBy,
  type Ledger,
  type LedgerEntry,
} from '../../../src/domain/ledger.js';
import { pruneLedgerFile, verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aPriceRecord,
  aUsage,
  intentOf,
  settlementOf,
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

/** Rows of both tables together. */
const ROWS = 100_000;
/** A week in which summer time ends in Europe. */
const FROM = Date.UTC(2026, 9, 22, 7, 13);
const SPAN_MS = 7 * 86_400_000;
const ZONES = ['UTC', 'Europe/Berlin', 'Asia/Kathmandu'];
const CUTS: readonly GroupBy[] = [...GROUP_NAMES, 'tag:team'];
const CALENDAR = new Set(['hour', 'day', 'week', 'month']);

/** Numbers that look random and are the same in every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const sums = {
  requests: 0,
  attempts: 0,
  costNanoUsd: 0n,
  estimatedCostNanoUsd: 0n,
  unpricedRequests: 0,
  inputTokens: 0,
};

describe(`a random ledger of ${ROWS} rows`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-large-'));
  const path = join(folder, 'waybill.db');
  let ledger: Ledger;

  beforeAll(async () => {
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    // A nano-USD a token.
    await ledger.recordPrices([aPriceRecord('price-1', { input: '1000000' })]);
    const random = createRandom(20_261_120);
    let rows = 0;
    for (let batch = 0; rows < ROWS; batch += 1) {
      const entries: LedgerEntry[] = [];
      for (let index = 0; index < 1_000 && rows < ROWS; index += 1) {
        const added = aRandomRequest(`r${batch}-${index}`, random);
        entries.push(...added.entries);
        rows += added.rows;
      }
      await Promise.all(entries.map((entry) => ledger.write(entry)));
    }
  });

  afterAll(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  });

  const query = (groupBy: readonly GroupBy[], timeZone: string): CostQuery => {
    return { from: null, to: null, groupBy, filters: {}, timeZone };
  };

  it('has the same total under every group-by and every pair of them, in three time zones', { timeout: 60_000 }, () => {
    const reader = ledger.reader();
    const { total } = reader.summarise(query([], 'UTC'));
    expect(total).toMatchObject(sums);
    for (const [index, cut] of CUTS.entries()) {
      for (const other of CUTS.slice(index)) {
        const groupBy = cut === other ? [cut] : [cut, other];
        // The zone matters to parts of the calendar alone.
        const zones = groupBy.some((name) => CALENDAR.has(name)) ? ZONES : ['UTC'];
        for (const timeZone of zones) {
          const summary = reader.summarise(query(groupBy, timeZone));
          if (!isTotal(summary.rows, total)) expect.fail(`${groupBy} in ${timeZone} add up to something else`);
          if (!isTotal([summary.total], total)) expect.fail(`${groupBy} in ${timeZone} have another total`);
        }
      }
    }
  });

  it('has in any range what its rows say, from the totals of whole hours', () => {
    const reader = ledger.reader();
    const random = createRandom(7);
    for (let round = 0; round < 20; round += 1) {
      const from = FROM + random(SPAN_MS / 2);
      const to = from + random(SPAN_MS / 2) + 1;
      const range = { ...query(['provider', 'outcome'], 'Asia/Kathmandu'), from, to };
      const fromTotals = reader.summarise(range);
      // A filter by a tag that accepts every value is answered from the rows.
      const fromRows = reader.summarise({ ...range, filters: { 'tag:team': ['', 'a', 'b', 'c'] } });
      expect(fromTotals).toEqual(fromRows);
    }
  });

  it('is verified, and still after half of it was pruned, with every total as it was', { timeout: 60_000 }, () => {
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
    const { total } = ledger.reader().summarise(query([], 'UTC'));
    pruneLedgerFile(path, { before: FROM + SPAN_MS / 2, now: FROM + SPAN_MS });
    for (const timeZone of ZONES) {
      for (const cut of CUTS) {
        const { rows } = ledger.reader().summarise(query([cut], timeZone));
        if (!isTotal(rows, total)) expect.fail(`${cut} in ${timeZone} add up to something else`);
      }
    }
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });
});

/** One of 48 kinds of request, at any instant, with one to three attempts; counts what it adds. */
function aRandomRequest(
  inferenceId: string,
  random: (below: number) => number,
): { entries: LedgerEntry[]; rows: number } {
  const kind = random(48);
  const receivedAt = FROM + random(SPAN_MS);
  const request = {
    receivedAt,
    client: `client-${kind % 4}`,
    model: `model-${kind % 6}`,
    tags: random(3) === 0 ? {} : { team: 'abc'.charAt(random(3)) },
    region: kind % 5 === 0 ? 'eu' : null,
  };
  const target = (attempt: number) => ({
    provider: `provider-${(kind + attempt) % 3}`,
    providerModel: `provider-model-${kind % 6}`,
    region: kind % 7 === 0 ? 'us' : null,
  });
  const attempts = kind % 8 === 0 ? 1 + random(3) : 1;
  const entries: LedgerEntry[] = [intentOf(inferenceId, { request, attempt: target(1) })];
  let isUnpriced = false;
  const end = () => {
    const input = random(2 ** 31);
    const isPriced = random(40) !== 0;
    const source = random(10) === 0 ? ('estimated' as const) : ('reported' as const);
    const cost = isPriced ? BigInt(input) : null;
    sums.inputTokens += input;
    if (cost === null) isUnpriced = true;
    else sums.costNanoUsd += cost;
    if (cost !== null && source === 'estimated') sums.estimatedCostNanoUsd += cost;
    return {
      // What was priced, or an image that has no price beside it.
      usage: aUsage(isPriced ? { input } : { input, images: 1 }, source),
      costNanoUsd: cost,
      components: isPriced ? [{ class: 'input' as const, units: input, ratePerMillion: 1_000_000n }] : [],
    };
  };
  for (let attempt = 2; attempt <= attempts; attempt += 1) {
    entries.push({
      attemptSettlement: anAttemptEnd({
        inferenceId,
        attempt: attempt - 1,
        outcome: 'failed',
        errorCode: 'busy',
        ...end(),
      }),
      attemptIntent: anAttempt({ inferenceId, attempt, ...target(attempt) }),
    });
  }
  const outcome = kind % 11 === 0 ? ('failed' as const) : ('ok' as const);
  entries.push(settlementOf(inferenceId, { attempt: { attempt: attempts, ...end() }, request: { outcome } }));
  sums.requests += 1;
  sums.attempts += attempts;
  if (isUnpriced) sums.unpricedRequests += 1;
  return { entries, rows: 1 + attempts };
}

function isTotal(rows: readonly CostRow[], total: CostRow): boolean {
  const names = Object.keys(total).filter((name) => name !== 'group') as Array<Exclude<keyof CostRow, 'group'>>;
  return names.every((name) => {
    if (typeof total[name] === 'bigint')
      return rows.reduce((sum, row) => sum + (row[name] as bigint), 0n) === total[name];
    return rows.reduce((sum, row) => sum + (row[name] as number), 0) === total[name];
  });
}
