import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WaybillError } from '../../../../src/domain/errors.js';
import type { Ledger } from '../../../../src/domain/ledger.js';
import { costReportAnswer } from '../../../../src/http/admin/reports.js';
import { requestDetailAnswer, requestListAnswer } from '../../../../src/http/admin/requests.js';
import { openSqliteLedger } from '../../../../src/ledger/sqlite/sqlite-ledger.js';
import { costReports } from '../../../../src/reports/cost-report.js';
import { intentOf, START, settlementOf } from '../../../conformance/ledger-entries.js';
import { silentLogger } from '../../../conformance/silent-logger.js';
import { FakeClock } from '../../../support/fake-clock.js';

const HUGE = 2n ** 60n + 1n;

describe("the operators' view of the ledger", () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-admin-'));
  let ledger: Ledger;

  beforeAll(async () => {
    const path = join(folder, 'waybill.db');
    ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const content = '{"input":"400000000"}';
    await ledger.recordPrices([
      { id: 'price-1', origin: 'config:x', effectiveFrom: START, configGeneration: 1, content },
    ]);
    await ledger.write(intentOf('a'));
    await ledger.write(
      settlementOf('a', { attempt: { costNanoUsd: HUGE }, request: { decision: { candidates: [] } } }),
    );
    await ledger.write(intentOf('b', { request: { client: 'team-b', receivedAt: START + 1 } }));
  });

  afterAll(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  });

  const list = (query: string) => requestListAnswer(ledger.reader(), new URLSearchParams(query));
  const costs = (query: string) =>
    costReportAnswer({ reader: ledger.reader(), reports: costReports, query: new URLSearchParams(query), now: START });

  function fault(run: () => unknown): WaybillError {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(WaybillError);
      return error as WaybillError;
    }
    throw new Error('nothing was thrown');
  }

  it('lists rows newest first under the names of the interface, amounts with all their digits', () => {
    const { status, contentType, body } = list('');
    expect({ status, contentType }).toEqual({ status: 200, contentType: 'application/json; charset=utf-8' });
    expect(body).toContain(`"cost_nano_usd":${HUGE}`);
    const { requests, next_cursor } = JSON.parse(body);
    expect(next_cursor).toBeNull();
    expect(requests).toHaveLength(2);
    expect(requests[0]).toMatchObject({ inference_id: 'b', outcome: 'in_flight', status: null, cost_nano_usd: null });
    expect(requests[1]).toEqual({
      inference_id: 'a',
      received_at: '2026-03-01T12:00:00.000Z',
      client: 'team-a',
      tags: {},
      endpoint: '/v1/chat/completions',
      task: 'chat',
      model: 'llama',
      provider: 'hf',
      provider_model: 'meta-llama/Llama-3.1-8B-Instruct',
      region: null,
      stream: false,
      outcome: 'ok',
      status: 200,
      error_code: null,
      usage: {
        input: 10,
        cached_input: null,
        cache_write: null,
        output: 5,
        reasoning: null,
        audio_input: null,
        audio_output: null,
        images: null,
        characters: null,
        audio_ms: null,
        search_units: null,
        source: 'reported',
      },
      cost_nano_usd: Number(HUGE),
      price_id: 'price-1',
      attempts: 1,
      cache_hit: false,
      latency_ms: 60,
      first_byte_ms: 20,
      config_generation: 1,
    });
  });

  it('pages by next_cursor and filters by each parameter', () => {
    const first = JSON.parse(list('limit=1').body);
    expect(first.requests[0].inference_id).toBe('b');
    const second = JSON.parse(list(`limit=1&cursor=${first.next_cursor}`).body);
    expect([second.requests[0].inference_id, second.next_cursor]).toEqual(['a', null]);
    const ids = (query: string) =>
      JSON.parse(list(query).body).requests.map((row: { inference_id: string }) => row.inference_id);
    expect(ids('status=ok')).toEqual(['a']);
    expect(ids('client=team-b&provider=hf&model=llama')).toEqual(['b']);
    expect(ids(`min_cost=${HUGE}`)).toEqual(['a']);
    expect(ids(`from=${(START + 1000) / 1000}`)).toEqual([]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=ten', 'limit'],
    ['status=fine', 'status'],
    ['min_cost=0.5', 'min_cost'],
    ['from=soon', 'from'],
    ['from=2026-03-02&to=2026-03-01', 'from'],
    ['cursor=nonsense', 'cursor'],
    ['colour=red', 'colour'],
  ])('refuses %s, naming the parameter', (query, param) => {
    expect(fault(() => list(query))).toMatchObject({ code: 'invalid_request', param });
  });

  it('shows one request with its attempts, each component of its cost, the price, and the decision', () => {
    const detail = JSON.parse(requestDetailAnswer(ledger.reader(), 'a').body);
    expect(detail).toMatchObject({
      inference_id: 'a',
      attempts: [
        { attempt: 1, provider: 'hf', key: 'hf-0123456789ab', outcome: 'ok', status: 200, held_nano_usd: 9_000 },
      ],
      cost_components: [{ attempt: 1, class: 'input', units: 10, usd_per_million: '0.4', price_id: 'price-1' }],
      prices: [{ id: 'price-1', origin: 'config:x', content: { input: '400000000' } }],
      decision: { candidates: [] },
    });
    expect(fault(() => requestDetailAnswer(ledger.reader(), 'nobody'))).toMatchObject({
      code: 'not_found',
      status: 404,
    });
  });

  it('reports costs as JSON, CSV and NDJSON', () => {
    const json = costs('group_by=client&group_by=day&tz=Europe/Berlin');
    expect(JSON.parse(json.body)).toMatchObject({
      rows: [
        { client: 'team-a', day: '2026-03-01', requests: 1, cost_nano_usd: HUGE.toString() },
        { client: 'team-b', requests: 1, cost_nano_usd: '0' },
      ],
      total: { requests: 2, attempts: 2, cost_nano_usd: HUGE.toString() },
    });
    expect(costs('format=csv').contentType).toMatch(/^text\/csv/);
    expect(costs('format=ndjson&client=team-a').body.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(costs('filter=client=team-a&outcome=ok').body).total.requests).toBe(1);
    expect(JSON.parse(costs('client=team-a&client=team-b').body).total.requests).toBe(2);
  });

  it.each([
    ['group_by=colour', 'group_by'],
    ['from=soon', 'from'],
    ['from=200&to=100', 'from'],
    ['tz=Mars', 'tz'],
    ['format=table', 'format'],
    ['filter=client', 'filter'],
    ['colour=red', 'colour'],
  ])('refuses a report with %s, naming the parameter', (query, param) => {
    expect(fault(() => costs(query))).toMatchObject({ code: 'invalid_request', param });
  });
});
