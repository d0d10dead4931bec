import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CostQuery, Ledger } from '../../../src/domain/ledger.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { costReports } from '../../../src/reports/cost-report.js';
import { parseCsv } from '../../../src/reports/csv-parse.js';
import { anAttempt, anAttemptEnd, aUsage, intentOf, START, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const ALL: CostQuery = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' };
const HOUR = 3_600_000;

describe('reports of a ledger with waste', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-waste-'));
  let ledger: Ledger;

  beforeAll(async () => {
    const path = join(folder, 'waybill.db');
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    // A failed call that reported usage, then a good one elsewhere.
    await ledger.write(intentOf('a', { request: { tags: { team: 'x', env: 'p,q' } } }));
    await ledger.write({
      attemptSettlement: anAttemptEnd({
        inferenceId: 'a',
        outcome: 'failed',
        status: 500,
        errorCode: 'overloaded',
        costNanoUsd: 700n,
      }),
      attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2, provider: 'groq', providerModel: 'llama-3' }),
    });
    await ledger.write(settlementOf('a', { attempt: { attempt: 2, costNanoUsd: 5_000n } }));
    // The client left: a lower bound.
    await ledger.write(intentOf('b', { request: { client: 'team-b', receivedAt: START + 14 * HOUR } }));
    await ledger.write(
      settlementOf('b', {
        attempt: { outcome: 'cancelled', costNanoUsd: 90n, usage: aUsage({ input: 3 }, 'lower-bound') },
        request: { outcome: 'cancelled', status: 499 },
      }),
    );
    // Refused: nothing was sent.
    const { request } = intentOf('c');
    if (request === undefined) throw new Error('no request');
    await ledger.write({ request });
    await ledger.write({
      requestSettlement: {
        inferenceId: 'c',
        endedAt: START + 1,
        outcome: 'refused',
        status: 429,
        errorCode: 'budget_exceeded',
        decision: null,
      },
    });
  });

  afterAll(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  });

  it('names what calls without a whole answer cost; with the useful rest it is the total', () => {
    const report = costReports.buildWaste(ledger.reader(), ALL);
    expect(report.rows.map(({ group, costNanoUsd }) => ({ ...group, costNanoUsd }))).toEqual([
      {
        provider: 'hf',
        provider_model: 'meta-llama/Llama-3.1-8B-Instruct',
        attempt_outcome: 'failed',
        costNanoUsd: 700n,
      },
      {
        provider: 'hf',
        provider_model: 'meta-llama/Llama-3.1-8B-Instruct',
        attempt_outcome: 'cancelled',
        costNanoUsd: 90n,
      },
    ]);
    expect(report.wasted.costNanoUsd).toBe(790n);
    expect(report.usefulNanoUsd).toBe(5_000n);
    expect(report.totalNanoUsd).toBe(ledger.reader().summarise(ALL).total.costNanoUsd);
    expect(report.wasted.costNanoUsd + report.usefulNanoUsd).toBe(report.totalNanoUsd);
  });

  it('breaks waste down by whatever else is asked, error codes too', () => {
    const { rows } = costReports.buildWaste(ledger.reader(), { ...ALL, groupBy: ['client', 'error_code'] });
    expect(rows.map(({ group }) => group)).toEqual([
      { client: 'team-a', error_code: 'overloaded', attempt_outcome: 'failed' },
      { client: 'team-b', error_code: null, attempt_outcome: 'cancelled' },
    ]);
  });

  it('writes waste as table, JSON, NDJSON and CSV', () => {
    const report = costReports.buildWaste(ledger.reader(), ALL);
    const table = costReports.formatWaste(report, 'table');
    expect(table).toMatch(/^wasted: {7}0\.000000790 USD \(13\.6 % of the cost\)$/m);
    expect(table).toMatch(/^useful: {7}0\.000005000 USD \(86\.3 % of the cost\)$/m);
    expect(table).toMatch(/^total: {8}0\.000005790 USD$/m);
    expect(JSON.parse(costReports.formatWaste(report, 'json'))).toMatchObject({
      rows: [{ attempt_outcome: 'failed', attempts: 1, cost_nano_usd: '700' }, {}],
      total: { attempts: 2, cost_nano_usd: '790' },
      wasted_nano_usd: '790',
      useful_nano_usd: '5000',
      total_nano_usd: '5790',
    });
    expect(costReports.formatWaste(report, 'ndjson').trimEnd().split('\n')).toHaveLength(2);
    expect(costReports.formatWaste(report, 'csv')).toMatch(/^provider,provider_model,attempt_outcome,requests,/);
  });

  function focus(query: Partial<CostQuery>): Array<Record<string, string>> {
    const [header, ...rows] = parseCsv(costReports.focus(ledger.reader(), { ...ALL, ...query }));
    return rows.map(({ cells }) =>
      Object.fromEntries((header?.cells ?? []).map((name, at) => [name, cells[at] ?? ''])),
    );
  }

  it('writes charges in the columns of FOCUS, whose billed cost is the total', () => {
    const rows = focus({});
    expect(rows).toHaveLength(3);
    const nano = rows.map((row) => BigInt((row['BilledCost'] ?? '').replace('.', '')));
    expect(nano.reduce((sum, each) => sum + each, 0n)).toBe(5_790n);
    expect(rows.find((row) => row['ProviderName'] === 'groq')).toMatchObject({
      BilledCost: '0.000005000',
      EffectiveCost: '0.000005000',
      ListCost: '0.000005000',
      ContractedCost: '0.000005000',
      BillingAccountId: 'hf-0123456789ab',
      BillingCurrency: 'USD',
      BillingPeriodStart: '2026-03-01T00:00:00Z',
      BillingPeriodEnd: '2026-04-01T00:00:00Z',
      ChargeCategory: 'Usage',
      ChargeClass: '',
      ChargeFrequency: 'Usage-Based',
      ChargePeriodStart: '2026-03-01T00:00:00Z',
      ChargePeriodEnd: '2026-03-02T00:00:00Z',
      ConsumedQuantity: '15',
      ConsumedUnit: 'Tokens',
      ServiceCategory: 'AI and Machine Learning',
      ServiceName: 'groq chat',
      SkuId: 'llama-3',
      SkuPriceId: 'price-1',
      SubAccountId: 'team-a',
      x_InputTokens: '10',
      x_OutputTokens: '5',
    });
    expect(JSON.parse(rows.find((row) => row['ProviderName'] === 'groq')?.['Tags'] ?? '')).toEqual({
      team: 'x',
      env: 'p,q',
    });
  });

  it('counts its days in the time zone asked for and writes them in UTC, or hours where they are asked for', () => {
    const [first] = focus({ timeZone: 'America/New_York', filters: { client: ['team-b'] } });
    expect(first).toMatchObject({ ChargePeriodStart: '2026-03-01T05:00:00Z', ChargePeriodEnd: '2026-03-02T05:00:00Z' });
    const [hour] = focus({ groupBy: ['hour'], filters: { client: ['team-b'] } });
    expect(hour).toMatchObject({ ChargePeriodStart: '2026-03-02T02:00:00Z', ChargePeriodEnd: '2026-03-02T03:00:00Z' });
  });

  it('ends a charge where the report ends', () => {
    const [only] = focus({ from: START - HOUR, to: START + HOUR, filters: { provider: ['groq'] } });
    expect(only).toMatchObject({ ChargePeriodStart: '2026-03-01T11:00:00Z', ChargePeriodEnd: '2026-03-01T13:00:00Z' });
  });
});
