import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ReportOptions, reportCommand } from '../../../src/commands/report.js';
import { openSqliteReader } from '../../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { costReports } from '../../../src/reports/cost-report.js';
import { intentOf, START, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('waybill report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-report-'));
  const ledger = join(folder, 'waybill.db');
  let configured: string | null = ledger;

  beforeAll(async () => {
    const writer = openSqliteLedger({
      path: ledger,
      durability: 'process',
      clock: new FakeClock(),
      logger: silentLogger,
    });
    await writer.write(intentOf('a', { request: { tags: { team: 'x=y' } } }));
    await writer.write(settlementOf('a'));
    await writer.write(intentOf('b', { request: { client: 'team-b', receivedAt: START + 86_400_000 } }));
    await writer.write(settlementOf('b', { attempt: { costNanoUsd: 6_000n } }));
    await writer.close();
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  async function run(options: ReportOptions) {
    let out = '';
    let err = '';
    const code = await reportCommand(
      options,
      { out: (text) => (out += text), err: (text) => (err += text) },
      {
        reports: costReports,
        openReader: openSqliteReader,
        ledgerOfConfig: () => configured,
        now: () => START + 2 * 86_400_000,
      },
    );
    return { code, out, err };
  }

  it('prints a table of the ledger the config names', async () => {
    const { code, out, err } = await run({ groupBy: ['client'] });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/team-b .*0\.000006000\nteam-a .*0\.000004000\n/);
    expect(out).toMatch(/total .*0\.000010000\n/);
  });

  it('filters by name, by tag and by the short options, and looks back', async () => {
    const costOf = async (options: ReportOptions) => {
      const { out } = await run({ ...options, json: true });
      return (JSON.parse(out) as { total: { cost_nano_usd: string } }).total.cost_nano_usd;
    };
    expect(await costOf({ filter: ['client=team-a', 'client=team-b'] })).toBe('10000');
    expect(await costOf({ filter: ['tag:team=x=y'] })).toBe('4000');
    expect(await costOf({ client: ['team-b'], provider: ['hf'], model: ['llama'] })).toBe('6000');
    expect(await costOf({ since: '36h' })).toBe('6000');
    expect(await costOf({ from: '2026-03-01', to: '2026-03-02' })).toBe('4000');
  });

  it('prints waste, and charges in the columns of FOCUS', async () => {
    expect((await run({ waste: true })).out).toMatch(/^wasted: +0\.000000000 USD/m);
    expect((await run({ format: 'focus' })).out).toMatch(/^BilledCost,BillingAccountId,.*\r\n0\.000004000,/);
    expect(await run({ format: 'focus', waste: true })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no columns for waste/),
    });
  });

  it.each<[ReportOptions, RegExp]>([
    [{ groupBy: ['colour'] }, /unknown group-by "colour"/],
    [{ from: 'soon' }, /"soon" is no date/],
    [{ from: '2026-03-02', to: '2026-03-01' }, /must be before/],
    [{ tz: 'Mars/Olympus' }, /unknown time zone/],
    [{ format: 'xml' }, /unknown format "xml"/],
    [{ json: true, format: 'csv' }, /disagree/],
    [{ filter: ['client'] }, /is no filter/],
    [{ filter: ['colour=red'] }, /unknown filter "colour"/],
    [{ ledger: '/nowhere/waybill.db' }, /no ledger at \/nowhere\/waybill.db/],
  ])('says what is wrong with %j in one line, exit code 2', async (options, message) => {
    const { code, out, err } = await run(options);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(message);
    expect(err.trimEnd()).not.toContain('\n');
  });

  it('looks in ./data where no config names a ledger', async () => {
    const before = process.cwd();
    process.chdir(folder);
    configured = null;
    try {
      expect((await run({})).err).toMatch(/no ledger at \.\/data\/waybill\.db/);
    } finally {
      configured = ledger;
      process.chdir(before);
    }
  });
});
