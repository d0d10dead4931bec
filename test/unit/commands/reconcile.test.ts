import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ReconcileOptions, reconcileCommand } from '../../../src/commands/reconcile.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { reconciler } from '../../../src/reports/reconcile.js';
import { intentOf, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('waybill reconcile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-reconcile-command-'));
  const ledger = join(folder, 'waybill.db');

  beforeAll(async () => {
    const clock = new FakeClock();
    const writer = openSqliteLedger({ path: ledger, durability: 'process', clock, logger: silentLogger });
    await writer.write(intentOf('a', { attempt: { providerModel: 'llama' } }));
    await writer.write(settlementOf('a', { attempt: { costNanoUsd: 1_000_000_000n } }));
    await writer.close();
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function bill(text: string | Uint8Array): string {
    const file = join(folder, 'bill.csv');
    writeFileSync(file, text);
    return file;
  }

  async function run(options: ReconcileOptions) {
    let out = '';
    let err = '';
    const code = await reconcileCommand(
      options,
      { out: (text) => (out += text), err: (text) => (err += text) },
      { reconciler, openReader: openSqliteReader, ledgerOfConfig: () => ledger },
    );
    return { code, out, err };
  }

  it('exits with 0 where the bill agrees, within half a per cent', async () => {
    const file = bill('date,model,cost\n2026-03-01,llama,1.005\n');
    const { code, out, err } = await run({ provider: 'hf', file });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^ok: hf, 2026-03-01 to 2026-03-01/);
  });

  it('exits with 1 where it does not, and names the day, the model and by how much', async () => {
    const file = bill('date,model,cost\n2026-03-01,llama,1.006\n');
    const { code, out } = await run({ provider: 'hf', file });
    expect(code).toBe(1);
    expect(out).toMatch(/^2026-03-01 +llama +1\.00 +1\.006 +-0\.006 +-0\.59 +0$/m);
    expect((await run({ provider: 'hf', file, tolerance: '1%' })).code).toBe(0);
    expect((await run({ provider: 'hf', file, tolerance: '0.001' })).code).toBe(1);
    const json = JSON.parse((await run({ provider: 'hf', file, json: true })).out);
    expect(json).toMatchObject({
      ok: false,
      provider: 'hf',
      differences: [{ kind: 'day-and-model', day: '2026-03-01', model: 'llama', difference_usd: '-0.006' }, {}, {}, {}],
    });
  });

  it('takes columns by name, and days alone', async () => {
    const file = bill('when,paid\n2026-03-01,1\n');
    expect((await run({ provider: 'hf', file, columns: ['date=when,cost=paid', 'model=-'] })).code).toBe(0);
  });

  it.each<[ReconcileOptions, RegExp]>([
    [{ file: 'x' }, /--provider ID is needed/],
    [{ provider: 'hf' }, /--file INVOICE\.csv is needed/],
    [{ provider: 'hf', file: '/nowhere/bill.csv' }, /cannot read \/nowhere\/bill\.csv: no such file/],
    [{ tz: 'Mars' }, /unknown time zone "Mars"/],
    [{ tolerance: 'much' }, /"much" is no tolerance/],
    [{ tolerance: '-1%' }, /"-1%" is no tolerance/],
    [{ tolerance: '500%' }, /more than the whole bill/],
    [{ columns: ['price=x'] }, /"price=x" names no column/],
    [{ columns: ['cost='] }, /"cost=" names no column/],
    [{ columns: ['cost=paid'] }, /no column "paid"; it has "date", "model", "cost"/],
    [{ from: '2026-03-02', to: '2026-03-01' }, /must be before/],
    [{ ledger: '/nowhere/waybill.db' }, /no ledger at/],
  ])('says what is wrong with %j in one line, exit code 2', async (options, message) => {
    const isWhole = 'file' in options || 'provider' in options;
    const rest = isWhole ? {} : { provider: 'hf', file: bill('date,model,cost\n2026-03-01,llama,1\n') };
    const { code, out, err } = await run({ ...rest, ...options });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(message);
    expect(err.trimEnd()).not.toContain('\n');
  });

  it('refuses what is no text', async () => {
    const { code, err } = await run({ provider: 'hf', file: bill(Uint8Array.of(0xff, 0xfe, 0x00, 0xd8)) });
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/no text in UTF-8/) });
  });
});
