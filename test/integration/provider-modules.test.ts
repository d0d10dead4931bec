import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { blocksOf, ROOT } from '../docs/pages.js';
import { ADMIN_KEY, CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { answer, chatBody, type ErrorBody, IMPATIENT, PRICE, recordOf, stream } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Types of providers that are modules of the user's own, through the built daemon and the built command line. */

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const path = 'docs/adding-a-provider.md';
const examples = blocksOf({ path, text: readFileSync(join(ROOT, path), 'utf8') }).filter(
  ({ language }) => language === 'js',
);
const folder = mkdtempSync(join(tmpdir(), 'waybill-modules-'));

let upstream: ScriptedUpstream;
let daemon: Daemon | null = null;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
});
afterEach(async () => {
  await daemon?.stop();
  daemon = null;
  upstream.requests.length = 0;
  upstream.setScript([answer()]);
});
afterAll(async () => {
  await upstream?.close();
  rmSync(folder, { recursive: true });
});

/** The example of the docs whose first line names the file. */
function example(name: string): string {
  const found = examples.find(({ text }) => text.startsWith(`// ${name}\n`));
  if (found === undefined) throw new Error(`no example ${name} in ${path}`);
  return found.text;
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function entry(id: string, type: string, rest: object = {}): object {
  return { id, type, base_url: `${upstream.url}/v1`, api_keys: [`key-of-${id}`], model: 'm', pricing: PRICE, ...rest };
}

/** A daemon whose config lies in a folder of its own; modules are named by their absolute path. */
async function start(entries: object[], rest: object = {}): Promise<Daemon> {
  daemon = await startDaemon({ config: { llm_providers: entries, policy: IMPATIENT, ...rest } });
  return daemon;
}

/** The command line in another folder than that of the config. */
function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'] ?? '' },
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
}

function configOf(entries: object[], name = 'config.yaml'): string {
  return write(
    name,
    JSON.stringify({ llm_providers: entries, storage: { ledger: { path: join(folder, 'waybill.db') } } }),
  );
}

describe('the docs’ module in OpenAI’s dialect', () => {
  it('serves chat, streams and embeddings, with its own way to authenticate', async () => {
    const file = write('acme.js', example('acme.js'));
    const router = await start([entry('mine', file)]);
    const whole = await router.post('/v1/chat/completions', chatBody({ model: 'mine:m' }));
    expect(whole.status).toBe(200);
    expect(await whole.json()).toMatchObject({ usage: { cost_nano_usd: 20_000 } });
    expect(await recordOf(router, whole)).toMatchObject({ outcome: 'ok', provider: 'mine', cost_nano_usd: 20_000 });
    upstream.setScript([stream()]);
    const streamed = await router.post('/v1/chat/completions', chatBody({ model: 'mine:m', stream: true }));
    expect(await streamed.text()).toMatch(/three[\s\S]*data: \[DONE\]\n\n$/);
    upstream.setScript([
      {
        body: {
          object: 'list',
          model: 'm',
          data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
          usage: { prompt_tokens: 4, total_tokens: 4 },
        },
      },
    ]);
    const vectors = await router.post('/v1/embeddings', { model: 'mine:m', input: 'words' });
    expect(await vectors.json()).toMatchObject({ usage: { cost_nano_usd: 4_000 } });
    expect(upstream.requests.map(({ path: asked }) => asked)).toEqual([
      '/v1/chat/completions',
      '/v1/chat/completions',
      '/v1/embeddings',
    ]);
    for (const { headers } of upstream.requests) {
      expect(headers['x-acme-key']).toBe('key-of-mine');
      expect(headers['authorization']).toBeUndefined();
    }
    expect(await router.admin('/providers')).toMatchObject({
      providers: [{ id: 'mine', type: file, status: 'ready' }],
    });
    expect(router.output()).not.toContain('key-of-mine');
  });

  it('is found beside the config by every command that asks something of providers', () => {
    write('acme.js', example('acme.js'));
    const config = configOf([entry('mine', './acme.js', { models: [{ id: 'm', tasks: ['chat'] }] })]);
    expect(run('check', config)).toMatchObject({
      status: 0,
      err: '',
      out: expect.stringContaining('mine (./acme.js), 1 key'),
    });
    expect(run('models', '--config', config).out).toContain('mine');
    expect(run('explain', 'mine:m', '--config', config)).toMatchObject({
      status: 0,
      out: expect.stringContaining('mine'),
    });
    const request = write('request.json', JSON.stringify(chatBody({ model: 'mine:m', max_tokens: 5 })));
    expect(run('price', request, '--config', config)).toMatchObject({
      status: 0,
      out: expect.stringContaining('mine'),
    });
  });
});

describe('the docs’ module with a dialect of its own', () => {
  it('serves chat, refuses what it cannot do, and says what it cannot read', async () => {
    const router = await start([entry('bird', write('parrot.js', example('parrot.js')))]);
    upstream.setScript([{ body: { said: 'hello', words_in: 3, words_out: 1 } }]);
    const ask = (rest = {}) => router.post('/v1/chat/completions', chatBody({ model: 'bird:m', ...rest }));
    const response = await ask();
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: 'hello' } }],
      usage: { prompt_tokens: 3, cost_nano_usd: 5_000 },
    });
    expect(upstream.requests[0]).toMatchObject({ path: '/v1/talk/m', body: '{"say":"How many?"}' });
    const refused = await ask({ tools: [] });
    expect([refused.status, ((await refused.json()) as ErrorBody).error]).toMatchObject([
      400,
      { code: 'invalid_request', param: 'tools', message: 'Parrots use no tools.' },
    ]);
    upstream.setScript([{ body: {} }]);
    const silent = await ask();
    expect([silent.status, ((await silent.json()) as ErrorBody).error.code]).toEqual([502, 'upstream_malformed']);
  });
});

/** A module whose adapter is right but for what is put over it. */
function flawed(over: string, chat = ''): string {
  return `const chat = {
  makeRoute: (request, target) => ({ method: 'POST', url: target.baseUrl + '/chat/completions' }),
  preparePayload: (request) => ({ kind: 'json', body: request.body.text }),
  getResponse: (answer) => ({ ok: true, answer: { body: answer.body.toString(), usage: null, outputTexts: () => ['x'] } }),
  ${chat}
};
export default { id: 'flawed', baseUrl: null, needsKey: true, tasks: { chat }, authenticate: () => ({}), ${over} };
`;
}

/** What each module is, its text (null: there is none), and what is said of it. */
const BROKEN: Array<[string, string | null, RegExp]> = [
  ['is not there', null, /there is no file .*bad-0\.js; a path is relative to the folder of the config file/],
  [
    'has a mistake of syntax',
    'export default {;',
    /does not load: Unexpected token ';'; `node .*bad-1\.js` shows where/,
  ],
  ['throws as it loads', 'throw new Error("no luck today");', /does not load: no luck today/],
  ['imports what is not there', 'import "nowhere-at-all";', /does not load: Cannot find package 'nowhere-at-all'/],
  [
    'requires what is there for import',
    "import { createRequire } from 'node:module'; createRequire(import.meta.url)('waybill/provider');",
    /does not load: Cannot find module 'waybill\/provider'; .*make this an ES module/,
  ],
  ['exports nothing of the kind', 'export const adaptor = {};', /exports no adapter: .* it exports adaptor/],
  ['exports a function', 'export default () => ({});', /the adapter is a function; expected an object/],
  ['has no id', flawed('id: undefined'), /`id` is missing; expected a name/],
  ['has the id of a built-in type', flawed("id: 'openai'"), /has the name `openai`, which is that of a built-in type/],
  ['has the alias of one', flawed("aliases: ['anthropic']"), /has the name `anthropic`/],
  ['has no URL to speak of', flawed("baseUrl: 'api.example.com'"), /`baseUrl` is "api.example.com"; expected a URL/],
  [
    'does not say whether it needs a key',
    flawed('needsKey: undefined'),
    /`needsKey` is missing; expected true or false/,
  ],
  ['cannot authenticate', flawed('authenticate: 7'), /`authenticate` is a number; expected a function/],
  [
    'lacks a function of a task',
    flawed('', 'getResponse: undefined'),
    /`tasks.chat.getResponse` is missing; expected a function/,
  ],
  [
    'has a task that is none',
    flawed('tasks: { chatt: chat }'),
    /`tasks.chatt`: there is no such task; known: chat, completion/,
  ],
  ['has no task', flawed('tasks: {}'), /`tasks` is an object; expected an object with a helper for each task/],
  ['would run inside', flawed('inline: true'), /`inline` is for what runs inside the router/],
  [
    'has rates that are none',
    flawed('defaultRates: { input: 0.1, inputt: 1n }'),
    /`defaultRates.input` is a number; expected a bigint/,
  ],
  ['waits for ever', 'await new Promise(() => {});', /does not load: it takes longer than 10 s/],
];

describe('a module that cannot be used', () => {
  let config = '';
  let checked: ReturnType<typeof run>;

  beforeAll(() => {
    for (const [index, [, text]] of BROKEN.entries()) if (text !== null) write(`bad-${index}.js`, text);
    config = configOf(
      BROKEN.map((_, index) => entry(`e${index}`, `./bad-${index}.js`)),
      'broken.yaml',
    );
    checked = run('check', config);
  });

  it.each(BROKEN.map(([what, , said], index) => [what, said, index] as const))(
    '%s: check says so',
    (_what, said, index) => {
      expect(checked.status).toBe(1);
      const lines = checked.out
        .split('\n')
        .filter((line) => line.includes(`llm_providers[${index}].type: \`./bad-${index}.js\`: `));
      expect(lines.join('\n')).toMatch(said);
    },
  );

  it('keeps the daemon from starting', () => {
    write('bad.js', 'throw new Error("no luck today");');
    const served = run('serve', '--config', configOf([entry('one', 'openai'), entry('two', './bad.js')]));
    expect(served.status).toBe(2);
    expect(served.err).toMatch(/config\.yaml:1: llm_providers\[1\]\.type: .* does not load: no luck today/);
  });

  it('says everything that is wrong at once', () => {
    write('bad.js', flawed("needsKey: 'yes', authenticate: null, baseUrl: 4", 'makeRoute: 3'));
    const { out } = run('check', configOf([entry('two', './bad.js')]));
    expect(out.match(/expected/g)).toHaveLength(4);
  });

  it('has the id of another', () => {
    write('one.js', flawed(''));
    write('two.js', flawed(''));
    const both = run('check', configOf([entry('a', './one.js'), entry('b', './two.js')]));
    expect(both).toMatchObject({ status: 1, out: expect.stringContaining('`flawed`, and so has that of `./one.js`') });
    expect(run('check', configOf([entry('a', './one.js'), entry('b', `../${basename(folder)}/one.js`)])).status).toBe(
      0,
    );
  });

  it('keeps no report from being made', () => {
    write('bad.js', 'throw new Error("no luck today");');
    const { out, err } = run(
      'report',
      '--config',
      configOf([entry('two', './bad.js'), entry('three', 'no-such-package')]),
    );
    expect(`${out}${err}`).not.toMatch(/has errors|no luck/);
  });
});

describe('a type that is a name', () => {
  let names: ReturnType<typeof run> | undefined;

  it.each([
    ['opnai', /unknown type `opnai`; did you mean `openai`\?/],
    ['no-such-package-at-all', /unknown type `no-such-package-at-all`, and no package of this name is installed/],
    ['acme.js', /unknown type `acme.js`, and no package .*; write `\.\/acme\.js` for the file beside the config/],
    ['fs', /unknown type `fs`/],
  ])('is an error that helps where it means nothing: %s', (type, said) => {
    write('acme.js', example('acme.js'));
    names ??= run(
      'check',
      configOf(['opnai', 'no-such-package-at-all', 'acme.js', 'fs'].map((each) => entry(`x${each}`, each))),
    );
    expect(names.status).toBe(1);
    expect(
      names.out
        .split('\n')
        .filter((line) => line.includes(`\`${type}\``))
        .join(),
    ).toMatch(said);
  });

  it('is the package of that name, for `import` alone too, with a scope too', () => {
    const packages: Array<[string, object]> = [
      ['waybill-acme', { main: 'main.js', type: 'module' }],
      ['@acme/waybill', { exports: { '.': { import: './main.js' } }, type: 'module' }],
      ['for-import-only', { exports: { import: { default: './main.js' } }, type: 'module' }],
    ];
    for (const [index, [name, manifest]] of packages.entries()) {
      write(`node_modules/${name}/package.json`, JSON.stringify({ name, ...manifest }));
      write(`node_modules/${name}/main.js`, example('acme.js').replace("id: 'acme'", `id: 'acme-${index}'`));
    }
    const { status, out } = run('check', configOf(packages.map(([name], index) => entry(`x${index}`, name))));
    expect(status).toBe(0);
    for (const [index, [name]] of packages.entries()) expect(out).toContain(`x${index} (${name}), 1 key`);
  });

  it('may be a package in CommonJS', () => {
    write('node_modules/old-style/index.js', flawed('').replace('export default', 'module.exports.adapter ='));
    expect(run('check', configOf([entry('x', 'old-style')]))).toMatchObject({ status: 0, err: '' });
  });

  it('is a built-in type although a package has the name', () => {
    write('node_modules/groq/index.js', 'throw new Error("never");');
    expect(run('check', configOf([entry('x', 'groq')])).status).toBe(0);
  });
});

const boom = '() => { throw new Error("boom"); }';

const TWO_EVENTS = '{ kind: "chunk", content: true, data: "{}\\n\\ndata: [DONE]" }';
const faulty = (rest: string) => `{ ok: false, fault: { kind: 'status', message: 'm', ${rest} }, usage: null }`;
const answered = (rest: string) => `{ ok: true, answer: { usage: null, outputTexts: () => [], ${rest} } }`;

/** The function, what is put over a right adapter and its helper, and how the request ends: status, code, attempts. */
const FAILING: Array<[string, string, string, number, string, number]> = [
  ['makeRoute', '', `makeRoute: ${boom}`, 500, 'internal_error', 0],
  ['preparePayload', '', `preparePayload: ${boom}`, 500, 'internal_error', 0],
  ['preparePayload', '', 'preparePayload: () => ({ kind: "text" })', 500, 'internal_error', 0],
  ['prepareHeaders', '', `prepareHeaders: ${boom}`, 502, 'upstream_malformed', 1],
  ['authenticate', `authenticate: ${boom}`, '', 502, 'upstream_malformed', 1],
  ['secretsIn', `secretsIn: ${boom}`, '', 502, 'upstream_malformed', 1],
  ['sign', 'sign: async () => { throw new Error("boom"); }', '', 502, 'upstream_malformed', 1],
  ['getResponse', '', `getResponse: ${boom}`, 502, 'upstream_malformed', 1],
  ['getResponse', '', 'getResponse: () => undefined', 502, 'upstream_malformed', 1],
  ['getResponse', '', 'getResponse: () => ({ ok: "later", next: {} })', 502, 'upstream_malformed', 1],
  ['getResponse', '', 'predicts: true, getResponse: () => ({ ok: "later", next: {} })', 502, 'upstream_malformed', 1],
  ['getResponse', '', 'getResponse: () => ({ ok: false, fault: {}, usage: null })', 502, 'upstream_malformed', 1],
  ['getResponse', '', `getResponse: () => (${faulty('status: 200')})`, 502, 'upstream_malformed', 1],
  ['getResponse', '', `getResponse: () => (${answered('body: "no JSON"')})`, 502, 'upstream_malformed', 1],
  ['getResponse', '', `getResponse: () => (${answered('body: {}')})`, 502, 'upstream_malformed', 1],
  [
    'getResponse',
    '',
    `getResponse: () => (${answered('body: "x", contentType: "a\\nb"')})`,
    502,
    'upstream_malformed',
    1,
  ],
  ['prepareHeaders', '', 'prepareHeaders: () => ({ "x-a": "b\\r\\nx-c: d" })', 502, 'upstream_malformed', 1],
  ['prepareHeaders', '', 'prepareHeaders: () => ({ "x a": "b" })', 502, 'upstream_malformed', 1],
  ['authenticate', 'authenticate: async () => ({})', '', 502, 'upstream_malformed', 1],
  ['openStream', '', `openStream: ${boom}`, 502, 'upstream_malformed', 1],
  ['read', '', `openStream: () => ({ read: ${boom} })`, 502, 'upstream_malformed', 1],
  ['read', '', `openStream: () => ({ read: () => (${TWO_EVENTS}) })`, 502, 'upstream_malformed', 1],
  ['read', '', 'openStream: () => ({ read: () => ({ kind: "fault", fault: {} }) })', 502, 'upstream_malformed', 1],
];

describe('a function that fails while the daemon runs', () => {
  const ask = (router: Daemon, rest = {}) => router.post('/v1/chat/completions', chatBody({ model: 'x:m', ...rest }));

  it('ends its attempt, with a row', async () => {
    const router = await start(
      FAILING.map(([, over, chat], index) =>
        entry(
          `e${index}`,
          write(`failing-${index}.js`, flawed(`${over}${over === '' ? '' : ','} id: 'f${index}'`, chat)),
        ),
      ),
    );
    for (const [index, [name, , , status, code, attempts]] of FAILING.entries()) {
      upstream.requests.length = 0;
      const isStream = name === 'openStream' || name === 'read';
      upstream.setScript([isStream ? stream() : answer()]);
      const response = await ask(router, { model: `e${index}:m`, stream: isStream });
      const { error } = (await response.json()) as ErrorBody;
      expect([name, response.status, error.code]).toEqual([name, status, code]);
      expect(error.message).toMatch(new RegExp(`the adapter .*\\.js failed in .*${name}`, 'i'));
      const row = await recordOf(router, response);
      expect(row.attempts).toHaveLength(attempts);
      expect(row.status).toBe(status);
      const isSent = ['getResponse', 'openStream', 'read'].includes(name);
      expect(upstream.requests).toHaveLength(isSent ? 1 : 0);
      if (attempts > 0) expect(row.attempts[0]).toMatchObject({ outcome: 'failed', error_code: 'adapter_failed' });
      if (!isSent) expect(row.cost_nano_usd).toBe(0);
    }
    expect((await fetch(`${router.url}/health/ready`)).status).toBe(200);
  });

  it('lets another target answer', async () => {
    const broken = write(`runtime-${asked++}.js`, flawed('', `getResponse: ${boom}`));
    const early = write(`runtime-${asked++}.js`, flawed("id: 'early'", `preparePayload: ${boom}`));
    const router = await start([entry('x', broken), entry('y', early), entry('good', 'openai_compatible')], {
      model_aliases: { all: { targets: ['x:m'], fallback: ['y:m', 'good:m'] } },
    });
    const response = await ask(router, { model: 'all' });
    expect([response.status, response.headers.get('x-waybill-provider')]).toEqual([200, 'good']);
    expect((await recordOf(router, response)).attempts.map(({ provider, outcome }) => [provider, outcome])).toEqual([
      ['x', 'failed'],
      ['good', 'ok'],
    ]);
  });

  it('may be one that follows a prediction, which works as it does for a built-in type', async () => {
    const chat = `predicts: true, getResponse: (answer, request, target) => {
      const { said } = JSON.parse(answer.body.toString());
      const route = { method: 'GET', url: target.baseUrl + '/later' };
      if (said === undefined) return { ok: 'later', next: { id: 'p1', route, afterMs: 1, cancel: null } };
      return { ok: true, answer: { body: JSON.stringify({ said }), usage: null, outputTexts: () => [said] } };
    }`;
    const router = await start([entry('x', write(`runtime-${asked++}.js`, flawed('', chat)))]);
    upstream.setScript([{ body: {} }, { body: {} }, { body: { said: 'at last' } }]);
    const response = await ask(router);
    expect([response.status, await response.json()]).toMatchObject([200, { said: 'at last' }]);
    expect(upstream.requests.map(({ method }) => method)).toEqual(['POST', 'GET', 'GET']);
    expect((await recordOf(router, response)).attempts).toHaveLength(1);
  });

  it('is done without where that can be, and said once', async () => {
    const over = `classify: ${boom}, hint: ${boom}, checkEntry: ${boom}, baseUrlFor: ${boom}`;
    const router = await start([entry('x', write(`runtime-${asked++}.js`, flawed(over)))]);
    upstream.setScript([{ status: 400, body: { error: { message: 'no' } } }]);
    for (let i = 0; i < 2; i += 1) expect((await ask(router)).status).toBe(400);
    expect(router.output().match(/failed in classify: boom/g)).toHaveLength(1);
    expect(router.output()).toMatch(/failed in hint: boom/);
  });

  it.each([
    ['rotate-key', 'cooldownMs: NaN'],
    ['rotate-key', 'cooldownMs: "soon"'],
    ['wait', ''],
    ['wait', 'afterMs: -1'],
    ['retry', 'afterMs: Infinity'],
  ])('is done without where it says to %s for what is no time (%s)', async (action, rest) => {
    const over = `classify: () => ({ action: '${action}', ${rest} })`;
    const router = await start([entry('x', write(`runtime-${asked++}.js`, flawed(over)))]);
    upstream.setScript([{ status: 503, body: { error: { message: 'no' } } }]);
    expect((await ask(router)).status).toBe(503);
    expect(router.output()).toMatch(/failed in classify: it gave something else than/);
    expect((await fetch(`${router.url}/health/ready`)).status).toBe(200);
  });

  it('keeps figures that are no counts out of the ledger', async () => {
    const usage = '{ counts: { input: 7, output: -3, cachedInput: "9" }, problems: [] }';
    const helper = `getResponse: () => ({ ok: true, answer: { body: '{}', usage: ${usage}, outputTexts: () => ['five'] } })`;
    const router = await start([entry('x', write(`runtime-${asked++}.js`, flawed('', helper)))]);
    const response = await ask(router);
    expect(response.status).toBe(200);
    expect(await recordOf(router, response)).toMatchObject({ usage: { input: 7, output: 1, source: 'estimated' } });
  });
});

let asked = 0;

describe('a module that changes', () => {
  const answering = (word: string) =>
    flawed(
      '',
      `getResponse: () => ({ ok: true, answer: { body: JSON.stringify({ said: '${word}' }), usage: null, outputTexts: () => [] } })`,
    );
  const said = async (router: Daemon) => {
    const response = await router.post('/v1/chat/completions', chatBody({ model: 'x:m' }));
    return ((await response.json()) as { said: string }).said;
  };

  it('is loaded anew by a reload, and the old one stays where the new one is broken', async () => {
    const file = write('changing.js', answering('one'));
    const router = await start([entry('x', file)]);
    expect(await said(router)).toBe('one');
    expect((await router.reload()).body).toMatchObject({ generation: 1 });
    write('changing.js', answering('two'));
    // By the daemon itself, or by being asked: whichever comes first.
    expect((await router.reload()).body).toMatchObject({ generation: 2 });
    expect(await said(router)).toBe('two');
    write('changing.js', 'export default { id: 4 };');
    const refused = await router.reload();
    expect(refused.status).toBe(422);
    expect(refused.body.errors?.[0]).toMatchObject({
      path: 'llm_providers[0].type',
      message: expect.stringContaining('`id` is'),
    });
    expect(await said(router)).toBe('two');
  });

  it('is taken up by a daemon that is not asked to', async () => {
    write('changing.js', answering('one'));
    const router = await start([entry('x', join(folder, 'changing.js'))]);
    write('changing.js', answering('three'));
    for (let i = 0; i < 100 && (await said(router)) !== 'three'; i += 1) await sleep(50);
    expect(await said(router)).toBe('three');
  });

  it('may be validated while it is in use; others are not loaded for that', async () => {
    const file = write('changing.js', answering('one'));
    const router = await start([entry('x', file)]);
    const validate = async (entries: object[]) => {
      const response = await fetch(`${router.url}/api/admin/v1/config/validate`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
        body: JSON.stringify({ llm_providers: entries, api_keys: [{ id: 'c', key: CLIENT_KEY }] }),
      });
      return response.json();
    };
    expect(await validate([entry('x', file)])).toMatchObject({ valid: true, warnings: [] });
    expect(await validate([entry('x', './other.js')])).toMatchObject({
      valid: true,
      warnings: [{ path: 'llm_providers[0].type', message: expect.stringContaining('is not loaded here') }],
    });
  });
});
