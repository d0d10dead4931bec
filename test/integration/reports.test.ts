import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Operators' figures through the built daemon: totals, series, waste, and the same from the command line. */

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const run = promisify(execFile);
const OTHER_KEY = 'other-client-key';

interface Node {
  [name: string]: unknown;
  requests: number;
  cost_nano_usd: string;
  groups?: Node[];
}
interface Stats {
  group_by: string[];
  stats: Node[];
  total: Node;
}
interface Point {
  [name: string]: unknown;
  time: string;
}
interface Metrics {
  scope: string;
  names: string[];
  start: string;
  end: string;
  step_seconds: number;
  points: Point[];
  total: Point;
}

let upstreams: ScriptedUpstream[];
let daemon: Daemon;
let before: number;

beforeAll(async () => {
  const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
  const body = {
    id: 'x',
    object: 'chat.completion',
    created: 1,
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hi.' }, finish_reason: 'stop' }],
    usage,
  };
  const good = await startUpstream([{ body, delayMs: 20 }]);
  // A stream that breaks, of which was charged what it had said until then.
  const delta = { role: 'assistant', content: 'Hi' };
  const chunk = { ...body, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: null }] };
  const broken = `data: ${JSON.stringify(chunk)}\n\n`;
  const bad = await startUpstream([
    { headers: { 'content-type': 'text/event-stream' }, rawBytes: broken, cutAfterBytes: broken.length },
  ]);
  upstreams = [good, bad];
  const entry = (id: string, url: string, models: string[]) => ({
    id,
    type: 'openai_compatible',
    base_url: `${url}/v1`,
    api_keys: [`key-${id}`],
    models: models.map((model) => ({ id: model })),
    pricing: { input_token_cost: '0.000001', output_token_cost: '0.000003' },
  });
  before = Date.now();
  daemon = await startDaemon({
    config: {
      llm_providers: [entry('good', good.url, ['m1', 'm2']), entry('bad', bad.url, ['broken'])],
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'other', key: OTHER_KEY },
        { id: 'idle', key: 'idle-client-key' },
      ],
      policy: { retry: { max_attempts: 1, interval: '1ms' }, cooldown: { failures: 1000 } },
    },
  });
  const ask = async (model: string, key = CLIENT_KEY) => {
    const request = { model, messages: [{ role: 'user', content: 'Hello' }], stream: model === 'broken' };
    const response = await daemon.post('/v1/chat/completions', request, { authorization: `Bearer ${key}` });
    await response.text();
    return response.status;
  };
  expect(await Promise.all([ask('m1'), ask('m1'), ask('m2'), ask('m1', OTHER_KEY)])).toEqual([200, 200, 200, 200]);
  await ask('broken');
});

afterAll(async () => {
  await daemon?.stop();
  await Promise.all((upstreams ?? []).map((upstream) => upstream.close()));
});

async function refusal(path: string): Promise<{ status: number; param: string | null; message: string }> {
  const response = await fetch(`${daemon.url}/api/admin/v1${path}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  const { error } = (await response.json()) as { error: { param: string | null; message: string } };
  return { status: response.status, ...error };
}

/** 100 × 1,000 + 10 × 3,000 nano-USD. */
const ONE = 130_000n;

describe('GET /stats', () => {
  it('nests totals as deep as it is asked, and what is within adds up at every level', async () => {
    const answer = await daemon.admin<Stats>('/stats?group_by=client,provider,model,key');
    expect(answer.group_by).toEqual(['client', 'provider', 'model', 'key']);
    expect(answer.total).toMatchObject({
      requests: 5,
      errors: 1,
      cost_nano_usd: (5n * ONE).toString(),
    });
    const sum = (nodes: Node[]) => nodes.reduce((cost, node) => cost + BigInt(node.cost_nano_usd), 0n);
    const check = (nodes: Node[], whole: Node, depth: number): void => {
      expect(sum(nodes)).toBe(BigInt(whole.cost_nano_usd));
      expect(nodes.reduce((requests, node) => requests + node.requests, 0)).toBe(whole.requests);
      for (const node of nodes) {
        if (node.groups === undefined) expect(depth).toBe(4);
        else check(node.groups, node, depth + 1);
      }
    };
    check(answer.stats, answer.total, 1);
    const tester = answer.stats.find((node) => node['client'] === 'tester');
    const good = tester?.groups?.find((node) => node['provider'] === 'good');
    expect(good?.groups?.map((node) => [node['model'], node.requests])).toEqual([
      ['m1', 2],
      ['m2', 1],
    ]);
  });

  it('takes unix seconds and ISO dates alike', async () => {
    const from = Math.floor(before / 1_000) - 1;
    const iso = new Date(from * 1_000).toISOString();
    expect((await daemon.admin<Stats>(`/stats?start=${from}`)).total.requests).toBe(5);
    expect((await daemon.admin<Stats>(`/stats?start=${iso}&end=${from + 3_600}`)).total.requests).toBe(5);
    expect((await daemon.admin<Stats>(`/stats?end=${from}`)).total.requests).toBe(0);
  });

  it.each([
    ['group_by=colour', 'group_by'],
    ['start=soon', 'start'],
    ['end=2026-02-31', 'end'],
    ['start=200&end=100', 'start'],
    ['end=999999999999999', 'end'],
    ['from=2026-01-01', 'from'],
    ['group_by=client,provider,model,key,endpoint,task,region', 'group_by'],
  ])('refuses %s, naming the parameter', async (query, param) => {
    expect(await refusal(`/stats?${query}`)).toMatchObject({ status: 400, param });
  });
});

describe('GET /metrics', () => {
  it('gives every figure in steps that add up to the total', async () => {
    const start = Math.floor(before / 1_000) - 120;
    const answer = await daemon.admin<Metrics>(`/metrics?start=${start}&end=${start + 600}&step=60`);
    expect(answer).toMatchObject({
      scope: 'global',
      step_seconds: 60,
      names: ['requests', 'tokens', 'cost', 'latency'],
    });
    expect(answer.points.length).toBeGreaterThanOrEqual(10);
    expect(answer.points[0]?.time).toBe(new Date(start * 1_000).toISOString());
    const sum = (name: string) => answer.points.reduce((total, point) => total + Number(point[name]), 0);
    expect(sum('requests')).toBe(5);
    expect(answer.total).toMatchObject({ requests: 5, errors: 1, output_tokens: sum('output_tokens') });
    expect(sum('cost_nano_usd')).toBe(Number(answer.total['cost_nano_usd']));
    const latency = answer.total['latency_ms'] as Record<string, number>;
    expect(latency['requests']).toBe(5);
    expect(latency['p95']).toBeGreaterThanOrEqual(20);
    expect(latency['p50']).toBeLessThanOrEqual(latency['max'] ?? 0);
  });

  it('says the same in hours, which come from the hourly totals', async () => {
    const { total, points } = await daemon.admin<Metrics>('/metrics/global?name=cost,requests&step=1h');
    expect(total).toEqual({
      ...(await daemon.admin<Metrics>('/metrics/global?name=requests,cost&step=5m')).total,
    });
    expect(points.length).toBeGreaterThanOrEqual(24);
    expect(Object.keys(points[0] ?? {})).toEqual([
      ...['time', 'cost_nano_usd', 'cost_usd', 'estimated_cost_nano_usd', 'unpriced_requests'],
      ...['requests', 'attempts', 'errors'],
    ]);
  });

  it('is there of each client and provider', async () => {
    expect((await daemon.admin<Metrics>('/metrics/clients/other?name=requests')).total['requests']).toBe(1);
    expect((await daemon.admin<Metrics>('/metrics/providers/good?name=cost')).total).toMatchObject({
      cost_nano_usd: (4n * ONE).toString(),
    });
    expect((await daemon.admin<Metrics>('/metrics/clients/idle?name=requests')).total['requests']).toBe(0);
    expect(await refusal('/metrics/clients/nobody')).toMatchObject({ status: 404 });
    expect(await refusal('/metrics/providers/nobody')).toMatchObject({ status: 404 });
  });

  it.each([
    ['name=colour', 'name'],
    ['start=soon', 'start'],
    ['start=200&end=100', 'start'],
    ['start=100&end=100', 'start'],
    ['step=0', 'step'],
    ['step=-60', 'step'],
    ['step=1.5', 'step'],
    ['step=often', 'step'],
    ['step=1', 'step'],
    ['start=0&step=1m', 'step'],
    ['group_by=client', 'group_by'],
  ])('refuses %s, naming the parameter', async (query, param) => {
    expect(await refusal(`/metrics?${query}`)).toMatchObject({ status: 400, param });
  });

  it('is for operators alone', async () => {
    for (const path of ['/stats', '/metrics', '/metrics/global', '/metrics/clients/other', '/reports/waste']) {
      const response = await fetch(`${daemon.url}/api/admin/v1${path}`, {
        headers: { authorization: `Bearer ${CLIENT_KEY}` },
      });
      await response.text();
      expect([path, response.status]).toEqual([path, 401]);
    }
  });
});

describe('reports', () => {
  it('show what failed calls cost; waste and use are the whole', async () => {
    const waste = await daemon.admin<Record<string, string> & { rows: Node[] }>('/reports/waste');
    const { total } = await daemon.admin<{ total: Node }>('/reports/costs');
    expect(waste['total_nano_usd']).toBe(total.cost_nano_usd);
    expect(BigInt(waste['wasted_nano_usd'] ?? '') + BigInt(waste['useful_nano_usd'] ?? '')).toBe(
      BigInt(total.cost_nano_usd),
    );
    expect(waste.rows).toMatchObject([{ provider: 'bad', provider_model: 'broken', attempt_outcome: 'failed' }]);
    expect(waste['useful_nano_usd']).toBe((4n * ONE).toString());
    expect(waste['wasted_nano_usd']).toBe(ONE.toString());
    expect(await refusal('/reports/waste?format=focus')).toMatchObject({ status: 400, param: 'format' });
  });

  it('print the same from the command line, and agree with a bill made of them', async () => {
    const cli = (...args: string[]) =>
      run(process.execPath, [CLI, ...args, '--ledger', daemon.ledgerFile], { cwd: daemon.dir });
    const { stdout: json } = await cli('report', '--group-by', 'day,provider_model', '--json');
    const { rows, total } = JSON.parse(json) as { rows: Array<Record<string, string>>; total: Node };
    expect(total.cost_nano_usd).toBe((await daemon.admin<{ total: Node }>('/reports/costs')).total.cost_nano_usd);
    expect((await cli('report', '--waste')).stdout).toMatch(/^wasted: /m);
    expect((await cli('report', '--format', 'focus')).stdout).toMatch(/^BilledCost,/);
    const good = rows.filter((row) => row['provider_model'] !== 'broken');
    const lines = good.map((row) => `${row['day']},${row['provider_model']},${row['cost_usd']}`);
    const bill = join(daemon.dir, 'bill.csv');
    await writeFile(bill, `date,model,cost\n${lines.join('\n')}\n`);
    expect((await cli('reconcile', '--provider', 'good', '--file', bill)).stdout).toMatch(/^ok: good/);
    await writeFile(bill, `date,model,cost\n${lines.join('\n')}\n${lines[0]}\n`);
    await expect(cli('reconcile', '--provider', 'good', '--file', bill)).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/lines differ/),
    });
  });
});

describe('what was learned of token counts', () => {
  it('is kept over a restart', async () => {
    daemon.kill('SIGTERM');
    await daemon.waitForExit();
    const kept = () => {
      const db = new Database(daemon.ledgerFile, { readonly: true });
      const rows = db.prepare('SELECT average_output, outputs FROM calibrations WHERE provider_model = ?').all('m1');
      db.close();
      return rows;
    };
    expect(kept()).toEqual([{ average_output: 10, outputs: 3 }]);
    await daemon.restart();
    const body = { model: 'm1', messages: [{ role: 'user', content: 'Hello' }] };
    await (await daemon.post('/v1/chat/completions', body)).text();
    daemon.kill('SIGTERM');
    await daemon.waitForExit();
    expect(kept()).toEqual([{ average_output: 10, outputs: 4 }]);
  });
});
