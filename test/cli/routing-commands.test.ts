import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY, CLIENT_KEY, type Daemon } from '../support/daemon.js';
import { answer, chatBody, IMPATIENT, provider, startRouter } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** `waybill explain` and `waybill models`, as their users run them. */

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-routing-'));

let upstream: ScriptedUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter(
    [
      provider('a', upstream.url, { region: 'eu' }),
      provider('b', upstream.url, {
        models: [
          { id: 'm', provider_model: 'vendor/m-2', tasks: ['chat'], context_window: 32_000 },
          { id: 'vectors', tasks: ['embedding'], pricing: { input_token_cost: '0.00000002' } },
        ],
      }),
      provider('off', upstream.url, { type: 'openai', api_keys: [] }),
      { id: 'any', type: 'openai_compatible', base_url: `${upstream.url}/v1` },
    ],
    {
      api_keys: [
        { id: 'tester', key: CLIENT_KEY },
        { id: 'narrow', key: 'narrow-client-key', allowed_providers: ['b'], allowed_models: ['m', 'nick'] },
      ],
      model_aliases: { nick: 'b:m' },
      policy: { ...IMPATIENT, algorithm: 'round_robin' },
    },
  );
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
  rmSync(folder, { recursive: true });
});

async function run(args: string[], { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {}) {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (part) => {
    said.out += part;
  });
  child.stderr.on('data', (part) => {
    said.err += part;
  });
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code: code as number, ...said };
}

const config = () => ['--config', daemon.configFile];
const running = () => ['--url', daemon.url, '--admin-key', ADMIN_KEY];

interface Told {
  client: string;
  endpoint: string;
  candidates: Array<{ provider: string }>;
  excluded: Array<{ provider: string; reason: string }>;
}

describe('waybill explain', () => {
  it('says where a model’s request would go, by the config file alone', async () => {
    const { code, out } = await run(['explain', 'm', ...config()]);
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines[0]).toBe('m at /v1/chat/completions for client open, by round_robin');
    expect(lines[3]).toMatch(/^1\. +a +m +- +0\.00\d{7} +1 ready +round_robin$/);
    expect(out).toMatch(/Passed over\n +off +m +every key is disabled/);
    expect(upstream.requests).toHaveLength(0);
  });

  it('says the same of a running daemon, which knows whose turn it is', async () => {
    const body = JSON.stringify(chatBody());
    const file = join(folder, 'request.json');
    writeFileSync(file, body);
    const asked = async () => {
      const { code, out } = await run(['explain', file, '--json', ...running()]);
      expect(code).toBe(0);
      return (JSON.parse(out) as Told).candidates[0]?.provider;
    };
    const first = await asked();
    const response = await daemon.post('/v1/chat/completions', body);
    await response.arrayBuffer();
    expect(response.headers.get('x-waybill-provider')).toBe(first);
    expect(await asked()).not.toBe(first);
  });

  it('takes a request from standard input, a client, a region and an endpoint', async () => {
    const vectors = JSON.stringify({ model: 'vectors', input: ['x'] });
    const piped = await run(['explain', '-', '--json', ...config()], { input: vectors });
    expect(JSON.parse(piped.out)).toMatchObject({ endpoint: '/v1/embeddings', candidates: [{ provider: 'b' }] });
    const narrow = await run(['explain', '--model', 'm', '--client', 'narrow', '--json', ...running()]);
    expect(JSON.parse(narrow.out)).toMatchObject({ client: 'narrow', candidates: [{ provider: 'b' }] });
    const european = await run(['explain', 'm', '--region', 'eu', '--message', 'Hi', '--json', ...config()]);
    expect((JSON.parse(european.out) as Told).candidates.map((each) => each.provider)).toEqual(['a']);
    const key = { ADMIN_API_KEY: ADMIN_KEY };
    const embedding = await run(['explain', 'vectors', '--endpoint', 'embeddings', '--json', '--url', daemon.url], {
      env: key,
    });
    expect(JSON.parse(embedding.out)).toMatchObject({ endpoint: '/v1/embeddings', candidates: [{ provider: 'b' }] });
  });

  it('exits with 1 for a request that would be refused, and shows why', async () => {
    for (const how of [config(), running()]) {
      const lost = await run(['explain', 'nothing-like-it', ...how]);
      expect(lost).toMatchObject({ code: 1, err: expect.stringContaining('model_not_found') });
      const refused = await run(['explain', 'vectors', ...how]);
      expect(refused).toMatchObject({
        code: 1,
        out: expect.stringMatching(/sent nowhere[\s\S]*does not do chat/),
        err: expect.stringContaining('task_not_supported'),
      });
    }
  });

  it('exits with 2 for what it cannot do', async () => {
    for (const [args, message] of [
      [['explain', ...config()], 'name a model, or a file'],
      [['explain', 'm', '--client', 'nobody', ...config()], 'there is no client "nobody"; known: tester, narrow'],
      [['explain', 'm', '--client', 'nobody', ...running()], 'the daemon refused (400): `client` names no client'],
      [['explain', 'm', '--url', daemon.url], 'the daemon refused (401)'],
      [['explain', 'm', '--url', 'http://127.0.0.1:1'], 'no answer from http://127.0.0.1:1'],
      [['explain', 'm', '--url', 'nowhere'], '--url nowhere'],
      [['explain', 'no.json', '--model', 'm', ...config()], 'cannot read no.json'],
      [['explain', 'm', '--config', 'no.yaml'], 'no.yaml'],
    ] as const) {
      const { code, err } = await run([...args]);
      expect({ args, code, err }).toEqual({ args, code: 2, err: expect.stringContaining(message) });
    }
  });
});

describe('waybill models', () => {
  it('lists names, what stands behind them, and what takes no part', async () => {
    const { code, out } = await run(['models', ...config()]);
    expect(code).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^model +provider +provider model +tasks +input USD\/1M +output USD\/1M +context +region/);
    const line = (...starts: string[]) =>
      lines.find((each) => each.split(/ {2,}/).slice(0, starts.length).join() === starts.join());
    expect(line('nick (alias)', 'b')).toMatch(/vendor\/m-2 +chat +1 +2 +32000 +- +ready$/);
    expect(line('m', 'a')).toMatch(/ m +chat, completion, embedding +1 +2 +- +eu +ready$/);
    expect(line('vectors', 'b')).toMatch(/embedding +0\.02 +unknown/);
    expect(line('m', 'off')).toMatch(/disabled: no API key$/);
    expect(line('any:*', 'any')).toMatch(/any +chat, .*unknown +unknown/);
  });

  it('as JSON, of one provider, and as one client sees them', async () => {
    const listed = async (...args: string[]) => {
      const { code, out } = await run(['models', '--json', ...args, ...config()]);
      expect(code).toBe(0);
      return (JSON.parse(out) as { models: Array<{ [name: string]: unknown }> }).models;
    };
    const all = await listed();
    expect(all.find(({ id }) => id === 'nick')).toEqual({
      id: 'nick',
      alias: true,
      provider: 'b',
      provider_model: 'vendor/m-2',
      tasks: ['chat'],
      pricing: { input: 1, output: 2 },
      context_length: 32_000,
      region: null,
      status: 'ready',
      disabled_reason: null,
    });
    expect(all.find(({ provider: id }) => id === 'off')).toMatchObject({
      status: 'disabled',
      disabled_reason: 'no API key',
    });
    expect((await listed('--provider', 'a')).map(({ id }) => id)).toEqual(['m']);
    expect((await listed('--client', 'narrow')).map(({ id, provider: at }) => `${id} ${at}`)).toEqual([
      'nick b',
      'm b',
    ]);
  });

  it('exits with 2 for a provider or client that is not there', async () => {
    expect(await run(['models', '--provider', 'x', ...config()])).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no provider "x"; known: a, b, off, any'),
    });
    expect(await run(['models', '--client', 'x', ...config()])).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no client "x"'),
    });
  });

  it('has help with an example, as explain has', async () => {
    for (const name of ['models', 'explain']) {
      const { code, out } = await run([name, '--help']);
      expect(code).toBe(0);
      expect(out).toMatch(new RegExp(`Examples?:\\n {2}waybill ${name} `));
    }
  });
});
