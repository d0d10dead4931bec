import { describe, expect, it } from 'vitest';
import type { CostRow, GroupBy } from '../../../src/domain/ledger.js';
import type { CostReport } from '../../../src/domain/report.js';
import { formatCostReport } from '../../../src/reports/format.js';

function aRow(overrides: Partial<CostRow>): CostRow {
  return {
    group: {},
    requests: 1,
    attempts: 1,
    errors: 0,
    inputTokens: 10,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 5,
    reasoningTokens: 0,
    audioInputTokens: 0,
    audioOutputTokens: 0,
    costNanoUsd: 4_000n,
    estimatedCostNanoUsd: 0n,
    unpricedRequests: 0,
    ...overrides,
  };
}

function aReport(groupBy: GroupBy[], rows: CostRow[], total: Partial<CostRow>, shares = {}): CostReport {
  return {
    query: { from: null, to: null, groupBy, filters: {}, timeZone: 'UTC' },
    rows,
    total: aRow(total),
    shares: { estimatedNanoUsd: 0n, lowerBoundNanoUsd: 0n, ...shares },
    estimateError: null,
  };
}

describe('a report as JSON', () => {
  it('has the names of the interface, sums of money as text with all their digits', () => {
    const cost = 2n ** 70n;
    const row = aRow({ group: { client: 'a', 'tag:team': null }, costNanoUsd: cost, estimatedCostNanoUsd: 7n });
    const report = aReport(['client', 'tag:team'], [row], { costNanoUsd: cost, estimatedCostNanoUsd: 7n });
    const figures = {
      requests: 1,
      attempts: 1,
      errors: 0,
      input_tokens: 10,
      cached_input_tokens: 0,
      cache_write_tokens: 0,
      output_tokens: 5,
      reasoning_tokens: 0,
      audio_input_tokens: 0,
      audio_output_tokens: 0,
      cost_nano_usd: '1180591620717411303424',
      cost_usd: '1180591620717.411303424',
      estimated_cost_nano_usd: '7',
      unpriced_requests: 0,
    };
    expect(JSON.parse(formatCostReport(report, 'json'))).toEqual({
      rows: [{ client: 'a', 'tag:team': null, ...figures }],
      total: figures,
      shares: { reported_nano_usd: cost.toString(), estimated_nano_usd: '0', lower_bound_nano_usd: '0' },
      estimate_error: null,
    });
    expect(JSON.parse(formatCostReport(report, 'ndjson'))).toEqual({ client: 'a', 'tag:team': null, ...figures });
  });

  it('says beside them what the total rests on, in parts that add up to it, and how far estimates were off', () => {
    const shares = { estimatedNanoUsd: 1_000n, lowerBoundNanoUsd: 500n };
    const estimateError = { calls: 7, medianPerMille: 12, p95PerMille: 250 };
    const report = { ...aReport([], [], { costNanoUsd: 4_000n }, shares), estimateError };
    expect(JSON.parse(formatCostReport(report, 'json'))).toMatchObject({
      shares: { reported_nano_usd: '2500', estimated_nano_usd: '1000', lower_bound_nano_usd: '500' },
      estimate_error: { calls: 7, median: 0.012, p95: 0.25 },
    });
  });

  it('is one line a row as NDJSON, without the total', () => {
    const report = aReport(['client'], [aRow({ group: { client: 'a\n' } }), aRow({ group: { client: 'b' } })], {});
    expect(formatCostReport(report, 'ndjson').trimEnd().split('\n')).toHaveLength(2);
    expect(formatCostReport(aReport(['client'], [], {}), 'ndjson')).toBe('');
  });
});

describe('a report as CSV', () => {
  it.each([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\nlines', '"two\nlines"'],
    ['=1+1', `"'=1+1"`],
    ['+cmd', `"'+cmd"`],
    ['-2', `"'-2"`],
    ['@SUM(A1)', `"'@SUM(A1)"`],
    ['\t=1', `"'\t=1"`],
    [' =1', `"' =1"`],
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
  ])('writes the name %j as %j, so that no spreadsheet runs it', (name, cell) => {
    const csv = formatCostReport(aReport(['client'], [aRow({ group: { client: name } })], {}), 'csv');
    expect(csv.split('\r\n')[1]).toBe(`${cell},1,1,0,10,0,0,5,0,0,0,4000,0.000004000,0,0`);
  });

  it('has a header, rows alone, and guards names of columns as well', () => {
    const csv = formatCostReport(aReport(['tag:=x'], [], {}), 'csv');
    expect(csv).toMatch(/^tag:=x,requests,attempts,errors,input_tokens,/);
    expect(csv.trimEnd().split('\r\n')).toHaveLength(1);
  });
});

describe('a report as a table', () => {
  it('lines its columns up, ends with the total, and says what the total rests on', () => {
    const report = aReport(
      ['client', 'day'],
      [
        aRow({ group: { client: 'team-a', day: '2026-11-20' }, costNanoUsd: 12_345_000_000n, requests: 100 }),
        aRow({ group: { client: null, day: '2026-11-20' } }),
      ],
      { requests: 101, attempts: 101, costNanoUsd: 12_345_004_000n, unpricedRequests: 2 },
      { estimatedNanoUsd: 6_172_502_000n, lowerBoundNanoUsd: 1n },
    );
    expect(formatCostReport(report, 'table')).toBe(
      [
        'client  day         requests  attempts  errors  input  output      cost USD',
        '------  ----------  --------  --------  ------  -----  ------  ------------',
        'team-a  2026-11-20       100         1       0     10       5  12.345000000',
        '-       2026-11-20         1         1       0     10       5   0.000004000',
        '------  ----------  --------  --------  ------  -----  ------  ------------',
        'total                    101       101       0     10       5  12.345004000',
        '',
        'estimated:    6.172502000 USD (50.0 % of the cost)',
        'lower bound:  0.000000001 USD (<0.1 % of the cost)',
        'unpriced:     2 of 101 requests (1.9 %), their unknown cost is not in the total',
        'estimates:    none to compare with what providers reported',
        '',
      ].join('\n'),
    );
  });

  it('shows the footer where there is nothing to show too', () => {
    const nothing = { requests: 0, attempts: 0, inputTokens: 0, outputTokens: 0, costNanoUsd: 0n };
    const table = formatCostReport(aReport(['client'], [], nothing), 'table');
    expect(table).toMatch(/estimated: .*\nlower bound: .*\nunpriced: {5}0 of 0 requests/);
  });

  it('says how far estimates were off, where both figures are known', () => {
    const estimateError = { calls: 40, medianPerMille: 0, p95PerMille: 123 };
    expect(formatCostReport({ ...aReport([], [], {}), estimateError }, 'table')).toMatch(
      /^estimates: {4}off by 0 % at the median, 12\.3 % at p95, of 40 inputs reported too$/m,
    );
  });

  it('shows a column of tokens that somebody used', () => {
    expect(formatCostReport(aReport([], [], { cachedInputTokens: 3 }), 'table')).toMatch(/cached/);
  });

  it('lets no name drive the terminal', () => {
    const table = formatCostReport(aReport(['client'], [aRow({ group: { client: 'a\u001b[2Jb' } })], {}), 'table');
    expect(table).not.toContain('\u001b');
  });
});
