import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ledger } from '../../../src/domain/ledger.js';
import type { ReconcileAsk } from '../../../src/domain/reconciliation.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { parseCsv } from '../../../src/reports/csv-parse.js';
import { reconcile, reconciler } from '../../../src/reports/reconcile.js';
import { intentOf, START, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const DAY = 86_400_000;
const HALF_PERCENT = { digits: 5n, scale: 3 };

describe('reconciling with a bill', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-reconcile-'));
  let ledger: Ledger;

  beforeAll(async () => {
    const path = join(folder, 'waybill.db');
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const add = async (id: string, model: string, at: number, cost: bigint | null, provider = 'openai') => {
      await ledger.write(
        intentOf(id, { request: { receivedAt: at }, attempt: { provider, providerModel: model, sentAt: at } }),
      );
      const unpricedReason = cost === null ? 'no-price' : null;
      await ledger.write(settlementOf(id, { attempt: { costNanoUsd: cost, unpricedReason } }));
    };
    await add('a', 'gpt-4o', START, 1_000_000_000n);
    await add('b', 'gpt-4o', START + 1, 1_000_000_000n);
    await add('c', 'gpt-4o-mini', START, 300_000_000n);
    await add('d', 'gpt-4o', START + DAY, 500_000_001n);
    await add('e', 'gpt-4o', START + DAY, null);
    // 23:30 UTC is the next day in Berlin.
    await add('f', 'o3', Date.UTC(2026, 2, 3, 23, 30), 7_000_000_000n);
    await add('x', 'gpt-4o', START, 9_000_000_000n, 'azure');
  });

  afterAll(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  });

  const run = (invoice: string, ask: Partial<ReconcileAsk> = {}) =>
    reconcile({
      reader: ledger.reader(),
      provider: 'openai',
      invoice,
      timeZone: 'UTC',
      tolerance: HALF_PERCENT,
      columns: {},
      from: null,
      to: null,
      ...ask,
    });
  const named = (invoice: string, ask: Partial<ReconcileAsk> = {}) =>
    run(invoice, ask).differences.map(({ kind, day, model, differencePercent }) =>
      [kind, day, model, differencePercent].filter((part) => part !== null).join(' '),
    );

  it('finds nothing where every day and model is billed as it was recorded', () => {
    const bill = [
      'date,model,cost',
      '2026-03-01,gpt-4o,1.5',
      '2026-03-01,gpt-4o,0.500000000',
      '2026-03-01,GPT-4o-mini,$0.30',
      '2026-03-02,gpt-4o,0.500000001',
    ].join('\n');
    expect(named(bill)).toEqual([]);
    const { lines, firstDay, lastDay } = run(bill);
    expect({ firstDay, lastDay }).toEqual({ firstDay: '2026-03-01', lastDay: '2026-03-02' });
    expect(lines.filter(({ kind }) => kind === 'total')).toMatchObject([
      { ledgerUsd: '2.800000001', invoiceUsd: '2.800000001', differenceUsd: '0.00', unpricedRequests: 1 },
    ]);
    expect(reconciler.format(run(bill), 'table')).toMatch(/^ok: openai, 2026-03-01 to 2026-03-02 \(UTC\)/);
  });

  it('names what is off by more than the tolerance, exactly: half a per cent is not, a hair more is', () => {
    const bill = (cost: string) => `date,model,cost\n2026-03-02,gpt-4o,${cost}\n`;
    const tight = { tolerance: { digits: 1n, scale: 2 } };
    // 0.500000001 × 100 / 99 and / 101 stand just at one per cent of the bill.
    expect(named(bill('0.505050506'), tight)).toEqual([]);
    expect(named(bill('0.505050507'), tight)).toEqual([
      'day-and-model 2026-03-02 gpt-4o -1.00',
      'day 2026-03-02 -1.00',
      'model gpt-4o -1.00',
      'total -1.00',
    ]);
    expect(named(bill('0.500000001'), { tolerance: { digits: 0n, scale: 0 } })).toEqual([]);
    expect(named(bill('0.500000002'), { tolerance: { digits: 0n, scale: 0 } })).toHaveLength(4);
  });

  it('names what stands on one side alone', () => {
    const differences = named('date,model,cost\n2026-03-01,gpt-4o,2\n2026-03-01,whisper,1\n');
    expect(differences).toEqual([
      'day-and-model 2026-03-01 gpt-4o-mini',
      'day-and-model 2026-03-01 whisper -100.00',
      'day 2026-03-01 -23.33',
      'model gpt-4o-mini',
      'model whisper -100.00',
      'total -23.33',
    ]);
    const table = reconciler.format(run('date,model,cost\n2026-03-01,gpt-4o,2\n2026-03-01,whisper,1\n'), 'table');
    expect(table).toMatch(/^6 of 8 lines differ/);
    expect(table).toMatch(/^2026-03-01 +gpt-4o-mini +0\.30 +0\.00 +0\.30 +not billed +0$/m);
  });

  it('shows a difference between two models of a day whose sum agrees', () => {
    const differences = named('date,model,cost\n2026-03-01,gpt-4o,1.9\n2026-03-01,gpt-4o-mini,0.4\n');
    expect(differences.filter((line) => line.startsWith('day '))).toEqual([]);
    expect(differences.filter((line) => line.startsWith('day-and-model'))).toHaveLength(2);
  });

  it("counts days in the bill's time zone", () => {
    const bill = 'start_time,sku,amount\n2026-03-04T00:30:00+01:00,o3,7\n';
    expect(run(bill, { timeZone: 'Europe/Berlin' }).lines[0]).toMatchObject({ day: '2026-03-04', differs: false });
    expect(run(bill).lines[0]).toMatchObject({ day: '2026-03-03', differs: false });
    const dates = 'date,model,usd\n2026-03-04,o3,7\n';
    expect(named(dates, { timeZone: 'Europe/Berlin' })).toEqual([]);
    expect(named(dates)).not.toEqual([]);
  });

  it('keeps to the days that are asked for, on both sides', () => {
    const bill = 'date,model,cost\n2026-03-01,gpt-4o,77\n2026-03-02,gpt-4o,0.500000001\n';
    expect(named(bill, { from: Date.UTC(2026, 2, 2), to: Date.UTC(2026, 2, 3) })).toEqual([]);
    expect(named(bill, { from: Date.UTC(2026, 2, 2), to: Date.UTC(2026, 2, 4) })).toContain(
      'day-and-model 2026-03-03 o3',
    );
  });

  it('compares days alone where the bill has no models', () => {
    const bill = 'date,cost\n2026-03-01,2.30\n2026-03-02,0.500000001\n';
    expect(named(bill, { columns: { model: null } })).toEqual([]);
    expect(run(bill, { columns: { model: null } }).lines.map(({ kind }) => kind)).toEqual(['day', 'day', 'total']);
  });

  it.each([
    ['Usage Date;SKU;Total cost (USD)\n2026-03-02;gpt-4o;0.500000001\n', { cost: 'Total cost (USD)' }],
    ['\uFEFF"date","model","cost"\r\n"2026-03-02","gpt-4o","0.500000001"\r\n', {}],
    ['day\tmodel\tusd\n1772445600\tgpt-4o\t 0.500000001 USD\n', {}],
    ['when,what,paid,model\n2026-03-02,x,0.500000001,gpt-4o\n', { date: 'when', cost: 'Paid' }],
    [
      'date,note,model,cost\n2026-03-02,"a ""quoted"", \nnote",gpt-4o,"1,000.500000001"\n2026-03-02,credit,gpt-4o,(1000)\n',
      {},
    ],
  ])('reads %j', (bill, columns) => {
    expect(named(bill, { columns })).toEqual([]);
  });

  it.each([
    ['', {}, 'file', /empty/],
    [
      'a,b\n1,2\n',
      {},
      'columns',
      /no column for the date: it has "a", "b", and needs date, day or start_time; --columns date=/,
    ],
    [
      'date,cost\n2026-03-01,1\n',
      {},
      'columns',
      /no column for the model: it has "date", "cost", .*--columns model=- /,
    ],
    ['date,model\n2026-03-01,1\n', {}, 'columns', /no column for the cost/],
    ['date,model,cost\n', { cost: 'paid' }, 'columns', /no column "paid"; it has "date", "model", "cost"/],
    ['date,model,cost\n03/01/2026,m,1\n', {}, 'file', /line 2: "03\/01\/2026" in "date" is no date/],
    ['date,model,cost\n2026-03-01,m,free\n', {}, 'file', /line 2: "free" in "cost" is no amount/],
    ['date,model,cost\n2026-03-01,m,\n', {}, 'file', /line 2: "" in "cost" is no amount/],
    ['date,model,cost\n\n2026-03-01,,1\n', {}, 'file', /line 3: no model in "model"/],
    ['date,model,cost\n2026-03-01,m,1e30\n', {}, 'file', /beyond a trillion/],
    ['date,model,cost\n2026-03-01,m,1e-30\n', {}, 'file', /finer than any bill/],
    ['date,model,cost\n2026-03-01,"m,1\n', {}, 'file', /the quote that opens in line 2 is never closed/],
  ])('says what is wrong with %j', (bill, columns, param, message) => {
    const attempt = () => run(bill, { columns });
    expect(attempt).toThrow(
      expect.objectContaining({ name: 'QueryError', param, message: expect.stringMatching(message) }),
    );
  });
});

describe('reading CSV', () => {
  it('keeps line numbers over line ends within quotes, and every kind of line end', () => {
    expect(parseCsv('a,b\r\n"x\ny",2\r3,\n\n"",""\n')).toEqual([
      { line: 1, cells: ['a', 'b'] },
      { line: 2, cells: ['x\ny', '2'] },
      { line: 4, cells: ['3', ''] },
      { line: 6, cells: ['', ''] },
    ]);
  });
});
