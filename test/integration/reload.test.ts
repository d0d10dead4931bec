import { existsSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.js';
import {
  answer,
  chatBody,
  chunk,
  type ErrorBody,
  failure,
  IMPATIENT,
  type LedgerRequest,
  provider,
  recordOf,
  stream,
} from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** A reload swaps the whole configuration or none of it, and no request sees more of it than the next answer. */

let daemon: Daemon;
let upstream: ScriptedUpstream;
let other: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer('from the first')]);
  other = await startUpstream([answer('from the second')]);
});
afterEach(async () => {
  await daemon?.stop();
  upstream.setScript([answer('from the first')]);
  other.setScript([answer('from the second')]);
});
afterAll(async () => {
  await upstream?.close();
  await other?.close();
});

type Config = { [key: string]: unknown };

const LOGGED = { logging: { level: 'info' } };
const withProviders = (providers: object[], rest: Config = {}): Config => ({
  ...LOGGED,
  policy: IMPATIENT,
  llm_providers: providers,
  ...rest,
});
const first = () => withProviders([provider('a', upstream.url)]);
const second = () => withProviders([provider('b', other.url)]);

async function start(config: Config, rest: Partial<DaemonOptions> = {}): Promise<void> {
  daemon = await startDaemon({ config, ...rest });
}

async function generation(): Promise<number> {
  const response = await fetch(`${daemon.url}/health/ready`);
  return ((await response.json()) as { generation: number }).generation;
}

async function untilGeneration(wanted: number): Promise<void> {
  await until(async () => (await generation()) === wanted, `generation ${wanted}`);
}

async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`${what} did not come; the daemon printed:\n${daemon.output()}`);
    await sleep(20);
  }
}

const logged = (part: string) =>
  daemon
    .output()
    .split('\n')
    .filter((line) => line.includes(part)).length;

async function ask(rest: object = {}, key = CLIENT_KEY): Promise<{ status: number; text: string; response: Response }> {
  const response = await daemon.post('/v1/chat/completions', chatBody(rest), { authorization: `Bearer ${key}` });
  return { status: response.status, text: await response.text(), response };
}

const codeOf = (text: string) => (JSON.parse(text) as ErrorBody).error.code;

it('swaps at POST /config/reload, with a generation that rows, metrics and readiness show', async () => {
  await start(first());
  const before = await ask();
  daemon.configure(second());
  const answered = await daemon.reload();
  expect(answered.status).toBe(200);
  expect(answered.body.generation).toBe(2);
  const after = await ask();
  expect([before, after].map(({ response }) => response.headers.get('x-waybill-provider'))).toEqual(['a', 'b']);
  expect(await generation()).toBe(2);
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  expect(metrics).toMatch(/^waybill_config_generation 2$/m);
  expect(metrics).not.toMatch(/waybill_key_state\{provider="a"/);
  const rows = await Promise.all([before, after].map(({ response }) => recordOf(daemon, response)));
  expect(rows).toMatchObject([{ config_generation: 1 }, { config_generation: 2 }]);
  expect(rows.map(({ cost_nano_usd: cost }) => cost)).toEqual([20_000, 20_000]);
});

it('says whether anything was new: unchanged content keeps its generation', async () => {
  await start(first());
  expect(await daemon.reload()).toEqual({ status: 200, body: { reloaded: false, generation: 1 } });
  daemon.configure(first());
  expect(await daemon.reload()).toEqual({ status: 200, body: { reloaded: false, generation: 1 } });
  expect(await generation()).toBe(1);
});

it('asks for the admin key', async () => {
  await start(first());
  const response = await fetch(`${daemon.url}/api/admin/v1/config/reload`, { method: 'POST' });
  expect(response.status).toBe(401);
  await response.arrayBuffer();
});

it('swaps at SIGHUP', async () => {
  await start(first());
  daemon.configure(second());
  daemon.kill('SIGHUP');
  await untilGeneration(2);
});

it('sees by itself that the file was written in place, renamed over, and pointed elsewhere', async () => {
  await start(first());
  daemon.configure(second());
  await untilGeneration(2);
  const beside = join(daemon.dir, 'next.yaml');
  renameSync(daemon.configFile, beside);
  daemon.configure(first());
  renameSync(daemon.configFile, join(daemon.dir, 'third.yaml'));
  await untilGenerationOrBroken();
  symlinkSync('third.yaml', daemon.configFile);
  await untilGeneration(3);
  expect((await ask()).text).toContain('from the first');
  symlinkSync('next.yaml', join(daemon.dir, 'link'));
  renameSync(join(daemon.dir, 'link'), daemon.configFile);
  await untilGeneration(4);
  expect((await ask()).text).toContain('from the second');
});

/** The file is missing for a while: the old configuration serves on, and says so once. */
async function untilGenerationOrBroken(): Promise<void> {
  await until(() => logged('cannot read the config file') === 1, 'the complaint');
  expect(await generation()).toBe(2);
  expect((await ask()).status).toBe(200);
}

it('keeps the old configuration for a broken file, and names each mistake once with its line', async () => {
  await start(first());
  daemon.configure(`llm_providers:\n  - id: a\n    type: sandbox\n    wieght: 2\npolicy: { algorithm: best }\n`);
  await until(() => logged('config file refused') === 1, 'the refusal');
  const answered = await daemon.reload();
  expect(answered).toEqual({
    status: 422,
    body: {
      reloaded: false,
      errors: [
        { path: 'llm_providers[0].wieght', line: 4, message: expect.stringContaining('did you mean `weight`?') },
        { path: 'policy.algorithm', line: 5, message: expect.any(String) },
      ],
    },
  });
  expect(await generation()).toBe(1);
  expect((await ask()).text).toContain('from the first');
  // A half-written file may be no YAML at all.
  daemon.configure('llm_providers: [ { id: a, ');
  expect((await daemon.reload()).status).toBe(422);
  daemon.configure(second());
  expect((await daemon.reload()).body.generation).toBe(2);
  await until(() => logged('config file reloaded') === 1, 'the end of it');
  expect(logged('"config file: error"')).toBe(3);
  expect(logged('"line":4')).toBe(1);
});

it('reads the files again that the config names', async () => {
  const config = (dir: string) =>
    withProviders([provider('a', upstream.url, { api_keys: [`\${file:${join(dir, 'secret')}}`] })]);
  await start(first());
  writeFileSync(join(daemon.dir, 'secret'), 'key-1\n');
  daemon.configure(config(daemon.dir));
  await untilGeneration(2);
  await ask();
  writeFileSync(join(daemon.dir, 'secret'), 'rotated-key\n');
  await untilGeneration(3);
  await ask();
  expect(upstream.requests.slice(-2).map(({ headers }) => headers['authorization'])).toEqual([
    'Bearer key-1',
    'Bearer rotated-key',
  ]);
  expect(daemon.output()).not.toContain('rotated-key');
});

it('lets a stream end on the configuration it began with, while its provider is gone for others', async () => {
  await start(first());
  upstream.setScript([stream({ chunkDelayMs: 150 })]);
  const asked = upstream.requests.length;
  const running = daemon.post('/v1/chat/completions', chatBody({ model: 'a:m', stream: true }));
  await upstream.waitForRequests(asked + 1);
  const { text, headers } = await running.then(async (response) => {
    daemon.configure(second());
    expect((await daemon.reload()).body.generation).toBe(2);
    const gone = await ask({ model: 'a:m' });
    expect([gone.status, codeOf(gone.text)]).toEqual([404, 'model_not_found']);
    expect((await ask()).text).toContain('from the second');
    return { text: await response.text(), headers: response.headers };
  });
  expect(text).toContain('"three"');
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  const row = await daemon.admin<LedgerRequest & { config_generation: number }>(
    `/requests/${headers.get('inference-id')}`,
  );
  expect(row).toMatchObject({ outcome: 'ok', provider: 'a', config_generation: 1, cost_nano_usd: 20_000 });
});

it('lets a request that waits for its second attempt end on the configuration it began with', async () => {
  await start(withProviders([provider('a', upstream.url), provider('spare', other.url)]));
  let letGo: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  upstream.setScript(async () => {
    await held;
    return failure(503);
  });
  const asked = upstream.requests.length;
  const running = ask();
  await upstream.waitForRequests(asked + 1);
  daemon.configure(withProviders([provider('a', upstream.url)]));
  expect((await daemon.reload()).body.generation).toBe(2);
  letGo();
  const { status, text } = await running;
  expect([status, text.includes('from the second')]).toEqual([200, true]);
});

it('keeps what is used of a limit, and holds the new limit at once', async () => {
  const limited = (perMinute: number) =>
    withProviders([provider('a', upstream.url)], {
      policy: { ...IMPATIENT, queue: { max_wait: '1ms' } },
      api_keys: [{ id: 'tester', key: CLIENT_KEY, limits: { req_per_min: perMinute } }],
    });
  await start(limited(3));
  expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
  daemon.configure(limited(2));
  expect((await daemon.reload()).body.generation).toBe(2);
  expect((await ask()).status).toBe(429);
  daemon.configure(limited(4));
  expect((await daemon.reload()).body.generation).toBe(3);
  const { status, response } = await ask();
  expect([status, response.headers.get('x-ratelimit-remaining-requests')]).toEqual([200, '1']);
});

it('keeps a cooldown of a key that stays, and gives a disabled key another chance', async () => {
  const two = (weight: number) =>
    withProviders([provider('a', upstream.url, { weight, api_keys: ['cooled', 'refused', 'well'] })]);
  await start(two(1));
  upstream.setScript(({ headers }) => {
    if (headers['authorization'] === 'Bearer cooled') return failure(429, undefined, { 'retry-after': '600' });
    return headers['authorization'] === 'Bearer refused' ? failure(401) : answer();
  });
  const states = async () => {
    const { providers } = await daemon.admin<{ providers: Array<{ keys: Array<{ state: string }> }> }>('/providers');
    return providers[0]?.keys.map(({ state }) => state);
  };
  for (let nth = 0; nth < 3; nth += 1) expect((await ask()).status).toBe(200);
  expect(await states()).toEqual(['cooling', 'disabled', 'ready']);
  daemon.configure(two(2));
  expect((await daemon.reload()).body.generation).toBe(2);
  expect(await states()).toEqual(['cooling', 'ready', 'ready']);
  // Asked for while nothing is new, it forgives too: the account may have been topped up.
  for (let nth = 0; nth < 3; nth += 1) expect((await ask()).status).toBe(200);
  expect(await states()).toEqual(['cooling', 'disabled', 'ready']);
  expect((await daemon.reload()).body).toEqual({ reloaded: false, generation: 2 });
  expect(await states()).toEqual(['cooling', 'ready', 'ready']);
});

it('closes the breaker of a provider that has another address now', async () => {
  const config = (url: string) =>
    withProviders([provider('a', url)], { policy: { ...IMPATIENT, cooldown: { failures: 1, open: '10m' } } });
  await start(config(upstream.url));
  upstream.setScript([failure(500)]);
  expect((await ask()).status).toBe(503);
  const asked = upstream.requests.length;
  expect([(await ask()).status, upstream.requests.length]).toEqual([503, asked]);
  daemon.configure(config(other.url));
  expect((await daemon.reload()).body.generation).toBe(2);
  expect((await ask()).text).toContain('from the second');
});

it('changes the amount of a budget, and keeps what is spent of it', async () => {
  const budgeted = (usd: string) =>
    withProviders([provider('a', upstream.url)], {
      api_keys: [{ id: 'tester', key: CLIENT_KEY, budget: { usd, per: 'total' } }],
    });
  await start(first());
  expect((await ask({ max_tokens: 5 })).status).toBe(200);
  daemon.configure(budgeted('0.0001'));
  expect((await daemon.reload()).body.generation).toBe(2);
  const budgets = async () => (await daemon.admin<{ budgets: object[] }>('/budgets')).budgets;
  expect(await budgets()).toMatchObject([{ client: 'tester', spent_nano_usd: 20_000, left_nano_usd: 80_000 }]);
  expect((await ask({ max_tokens: 5 })).status).toBe(200);
  daemon.configure(budgeted('0.00003'));
  expect((await daemon.reload()).body.generation).toBe(3);
  expect(await budgets()).toMatchObject([{ spent_nano_usd: 40_000, left_nano_usd: 0 }]);
  const refused = await ask({ max_tokens: 5 });
  expect([refused.status, codeOf(refused.text)]).toEqual([429, 'budget_exceeded']);
});

it('counts in a budget what was under way when it came', async () => {
  await start(first());
  let letGo: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  upstream.setScript(async () => {
    await held;
    return answer();
  });
  const asked = upstream.requests.length;
  const running = ask({ max_tokens: 5 });
  await upstream.waitForRequests(asked + 1);
  daemon.configure(
    withProviders([provider('a', upstream.url)], {
      api_keys: [{ id: 'tester', key: CLIENT_KEY, budget: { usd: '1', per: 'day' } }],
    }),
  );
  expect((await daemon.reload()).body.generation).toBe(2);
  const spent = async () =>
    (await daemon.admin<{ budgets: Array<{ spent_nano_usd: number }> }>('/budgets')).budgets[0]?.spent_nano_usd;
  expect(await spent()).toBe(0);
  letGo();
  expect((await running).status).toBe(200);
  await until(async () => (await spent()) === 20_000, 'the cost in the budget');
});

it('takes up clients, aliases, the admin key, sizes, the log level and the path of the metrics', async () => {
  await start(first());
  daemon.configure(
    withProviders([provider('a', upstream.url)], {
      api_keys: [{ id: 'newcomer', key: 'another-client-key' }],
      model_aliases: { quick: 'a:m' },
      server: { admin_api_key: 'another-admin-key', body_limit: '1kb' },
      logging: { level: 'debug', prometheus: { endpoint: '/numbers' } },
    }),
  );
  expect((await daemon.reload()).body.generation).toBe(2);
  expect((await ask()).status).toBe(401);
  expect((await ask({ model: 'quick' }, 'another-client-key')).status).toBe(200);
  expect((await ask({ note: 'x'.repeat(1_024) }, 'another-client-key')).status).toBe(413);
  expect((await daemon.reload()).status).toBe(401);
  const paths = ['/numbers', '/metrics'].map(async (path) => {
    const response = await fetch(daemon.url + path);
    await response.arrayBuffer();
    return response.status;
  });
  expect(await Promise.all(paths)).toEqual([200, 404]);
});

it('opens another log when the file says so, and loses no line', async () => {
  await start(first());
  const log = join(daemon.dir, 'waybill.log');
  daemon.configure({ ...first(), logging: { level: 'info', file: { enabled: true, path: log } } });
  expect((await daemon.reload()).body.generation).toBe(2);
  const { response } = await ask();
  daemon.configure({ ...first(), logging: { level: 'info', file: { enabled: true, path: '/proc/nowhere/x.log' } } });
  const refused = await daemon.reload();
  expect(refused.status).toBe(422);
  expect(refused.body.errors?.[0]?.message).toContain('cannot write the log file /proc/nowhere/x.log');
  const id = response.headers.get('inference-id') ?? '';
  await until(() => logged(id) === 1, 'the line of the request');
});

it('says which keys wait for a restart, and takes up the rest', async () => {
  await start(first());
  daemon.configure({
    ...second(),
    server: { listen: '127.0.0.1:1' },
    storage: { ledger: { type: 'sqlite', path: join(daemon.dir, 'elsewhere.db'), retention_days: 3 } },
  });
  const { status, body } = await daemon.reload();
  expect(status).toBe(200);
  expect(body.generation).toBe(2);
  expect(body.warnings).toEqual([
    {
      path: 'server.listen',
      line: expect.any(Number),
      message: `takes effect at the next start only; until then \`${new URL(daemon.url).host}\` is in use`,
    },
    { path: 'storage.ledger.path', line: expect.any(Number), message: expect.stringContaining(daemon.ledgerFile) },
    { path: 'storage.ledger.retention_days', line: expect.any(Number), message: expect.stringContaining('none') },
  ]);
  expect((await ask()).text).toContain('from the second');
  const effective = await daemon.admin<{ storage: { ledger: { path: string } } }>('/config');
  expect(effective.storage.ledger.path).toBe(daemon.ledgerFile);
  // They are still due when somebody asks again.
  expect((await daemon.reload()).body).toEqual({ reloaded: false, generation: 2, warnings: body.warnings });
});

it('starts the sandbox when a reload first names it', async () => {
  await start(first());
  daemon.configure(withProviders([{ id: 'box', type: 'sandbox', models: [{ id: 'sandbox-small' }] }]));
  expect((await daemon.reload()).body.generation).toBe(2);
  expect((await ask({ model: 'sandbox-small' })).status).toBe(200);
});

it('goes one by one when many ask at once', async () => {
  await start(first());
  daemon.configure(second());
  const answers = await Promise.all(Array.from({ length: 20 }, () => daemon.reload()));
  expect(answers.map(({ status, body }) => [status, body.generation])).toEqual(answers.map(() => [200, 2]));
  expect(answers.filter(({ body }) => body.reloaded).length).toBeLessThanOrEqual(1);
  await until(() => logged('config file reloaded') > 0, 'the line about it');
  expect(logged('config file reloaded')).toBe(1);
});

it('keeps what the command line says over the file', async () => {
  await start(first(), { args: (port) => ['--listen', `127.0.0.1:${port}`] });
  daemon.configure({ ...second(), server: { listen: '127.0.0.1:1' } });
  const { body } = await daemon.reload();
  expect([body.generation, body.warnings]).toEqual([2, undefined]);
  expect((await ask()).text).toContain('from the second');
});

it('never opens a port that others reach to everybody', async () => {
  const config = (port: number) => ({ ...first(), server: { listen: `0.0.0.0:${port}` } });
  await start(first());
  const port = Number(new URL(daemon.url).port);
  daemon.configure(config(port));
  daemon.kill('SIGKILL');
  await daemon.waitForExit();
  await daemon.restart();
  daemon.configure({ ...first(), api_keys: undefined });
  expect(await daemon.reload()).toEqual({
    status: 422,
    body: {
      reloaded: false,
      errors: [{ path: 'api_keys', line: 1, message: expect.stringContaining(`listens on 0.0.0.0:${port} until`) }],
    },
  });
  expect((await ask({}, 'no-key-of-ours')).status).toBe(401);
});

it('survives a SIGHUP that comes before it listens', async () => {
  await start(first());
  daemon.kill('SIGKILL');
  await daemon.waitForExit();
  rmSync(daemon.ledgerFile);
  const starting = daemon.restart();
  await until(() => existsSync(daemon.ledgerFile), 'the ledger');
  daemon.kill('SIGHUP');
  await starting;
  await until(() => logged('the config file is the one in use') === 1, 'the reload');
  expect((await ask()).status).toBe(200);
});

it('is refused while the daemon stops', async () => {
  await start(first());
  upstream.setScript([{ sse: [chunk({ content: 'one' })], hang: true }]);
  const asked = upstream.requests.length;
  const running = await daemon.post('/v1/chat/completions', chatBody({ stream: true }));
  await upstream.waitForRequests(asked + 1);
  daemon.configure(second());
  daemon.kill('SIGTERM');
  await until(() => logged('Stopping') === 1, 'the stop');
  daemon.kill('SIGHUP');
  await until(() => logged('the config file was not reloaded') === 1, 'the refusal');
  daemon.kill('SIGTERM');
  expect(await daemon.waitForExit()).toEqual({ code: 0, signal: null });
  await running.text().catch(() => {});
  rmSync(daemon.configFile);
});
