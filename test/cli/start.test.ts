import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { APPLICATION_ID } from '../../src/ledger/migrations/migrate.js';

/** What keeps the program from starting is said in one clear line, without a stack, with the exit code 2. */

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let dir: string;
beforeEach(() => {
  expect(inject('buildFailure')).toBe('');
  dir = mkdtempSync(join(tmpdir(), 'waybill-start-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

function run(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: dir, env: { PATH: process.env['PATH'] ?? '', HOME: dir, ...env }, timeout: 15_000 };
    const child = execFile(process.execPath, [CLI, ...args], options, (_error, out, err) => {
      resolve({ code: child.exitCode, out, err });
    });
  });
}

/** Exit code 2, and nothing but these lines: the last is the message, what stands before are findings in the file. */
function expectRefusal({ code, out, err }: Ran, message: RegExp, findings: RegExp[] = []): void {
  expect(err).not.toMatch(/\n\s+at |node:internal|Error:/);
  const lines = err.trimEnd().split('\n');
  expect(lines).toHaveLength(findings.length + 1);
  for (const [index, finding] of findings.entries()) expect(lines[index]).toMatch(finding);
  expect(lines.at(-1)).toMatch(/^waybill( \w+)?: /);
  expect(lines.at(-1)).toMatch(message);
  expect(out).toBe('');
  expect(code).toBe(2);
}

const PROVIDER = { id: 'box', type: 'sandbox', models: [{ id: 'sandbox-small' }] };

function write(config: object | string): string {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
  return file;
}

function good(rest: object = {}): object {
  return {
    server: { listen: '127.0.0.1:0' },
    storage: { ledger: { type: 'sqlite', path: join(dir, 'waybill.db') } },
    llm_providers: [PROVIDER],
    ...rest,
  };
}

const withLedger = (path: string) => good({ storage: { ledger: { type: 'sqlite', path } } });

describe('waybill serve refuses to start', () => {
  it('without a config file, or with one that is not there, is a directory, or no text', async () => {
    expectRefusal(await run(['serve']), /no config file.*--config/);
    expectRefusal(await run(['serve', '--config', 'nope.yaml']), /nope\.yaml: there is no such file/);
    expectRefusal(
      await run(['serve'], { WAYBILL_CONFIG: join(dir, 'named.yaml') }),
      /named\.yaml: there is no such file/,
    );
    expectRefusal(await run(['serve', '--config', dir]), /is a directory/);
  });

  it('with malformed YAML', async () => {
    const file = write('llm_providers: [\n  { id: a\n');
    expectRefusal(await run(['serve', '--config', file]), /has 1 error; nothing was started/, [
      /config\.yaml:\d+: .*not valid YAML/,
    ]);
  });

  it('with unknown keys, wrong types and impossible values, each named with its line', async () => {
    const file = write(
      'server: { listne: ":1", body_limit: huge }\npolicy: { retry: { max_attempts: -1 } }\nllm_providers:\n  - { id: a, type: openai, api_keys: [k] }\n',
    );
    expectRefusal(await run(['serve', '--config', file]), /has 3 errors; nothing was started/, [
      /config\.yaml:1: server\.(listne|body_limit): /,
      /config\.yaml:1: server\.(listne|body_limit): /,
      /config\.yaml:2: policy\.retry\.max_attempts: /,
    ]);
  });

  it('without api_keys on an address that is not loopback', async () => {
    const file = write(good({ server: { listen: '0.0.0.0:0' } }));
    expectRefusal(await run(['serve', '--config', file]), /nothing was started/, [
      /server\.listen: without `api_keys`/,
    ]);
    const local = write(good());
    expectRefusal(await run(['serve', '--config', local, '--listen', '0.0.0.0:0']), /loopback/);
    expectRefusal(await run(['serve', '--config', local, '--listen', ':0']), /loopback/);
  });

  it.each(['nonsense', '127.0.0.1', '127.0.0.1:99999', ':-1', '', 'http://127.0.0.1:80'])(
    'with --listen %j',
    async (listen) => {
      expectRefusal(await run(['serve', '--config', write(good()), '--listen', listen]), /--listen.*HOST:PORT/);
    },
  );

  it('with a PORT that is none', async () => {
    const { code, err } = await run(['serve', '--config', write(good())], { PORT: 'eighty' });
    expect(code).toBe(2);
    expect(err).toMatch(/PORT/);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it('on an occupied port, and leaves no ledger locked behind', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const file = write(good({ server: { listen: `127.0.0.1:${port}` } }));
    expectRefusal(
      await run(['serve', '--config', file]),
      new RegExp(`something else listens on 127\\.0\\.0\\.1:${port}`),
    );
    server.close();
    await once(server, 'close');
    expect(readdirSync(dir).filter((name) => /-wal|-shm/.test(name))).toEqual([]);
  });

  it('on an address this machine does not have', async () => {
    const file = write(good({ server: { listen: '203.0.113.7:0' }, api_keys: [{ id: 'a', key: 'long-enough-key' }] }));
    expectRefusal(await run(['serve', '--config', file]), /no address 203\.0\.113\.7/);
  });

  it.each([
    ['below a file', () => join(write('x'), 'data', 'waybill.db'), /cannot (open|make)/],
    ['where nothing may be written', () => '/proc/waybill/waybill.db', /cannot (open|make)/],
    ['that is a directory', () => dir, /cannot open the ledger/],
  ])('with a ledger %s', async (_where, path, message) => {
    const ledger = path();
    const file = join(dir, 'start.yaml');
    writeFileSync(file, JSON.stringify(withLedger(ledger)));
    expectRefusal(await run(['serve', '--config', file]), message);
  });

  it('with a text file as its ledger, which stays as it was', async () => {
    const ledger = join(dir, 'notes.txt');
    writeFileSync(ledger, 'These are notes, not a ledger.\n'.repeat(50));
    expectRefusal(await run(['serve', '--config', write(withLedger(ledger))]), /not a SQLite database/);
  });

  it('with another program’s database as its ledger', async () => {
    const ledger = join(dir, 'other.db');
    const db = new Database(ledger);
    db.exec('CREATE TABLE songs (title TEXT)');
    db.close();
    expectRefusal(await run(['serve', '--config', write(withLedger(ledger))]), /not a Waybill ledger/);
  });

  it('with a ledger from the future, which stays as it was', async () => {
    const ledger = join(dir, 'future.db');
    const db = new Database(ledger);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma('user_version = 9999');
    db.close();
    expectRefusal(await run(['serve', '--config', write(withLedger(ledger))]), /newer|9999/);
    const after = new Database(ledger, { readonly: true });
    expect(after.pragma('user_version', { simple: true })).toBe(9999);
    expect(after.prepare("SELECT count(*) AS n FROM sqlite_master WHERE type = 'table'").get()).toEqual({ n: 0 });
    after.close();
  });

  it('with a log file that cannot be written', async () => {
    const logging = { file: { enabled: true, path: join(write('x'), 'log', 'waybill.log') } };
    const file = join(dir, 'start.yaml');
    writeFileSync(file, JSON.stringify(good({ logging })));
    expectRefusal(await run(['serve', '--config', file]), /log/);
  });

  it('with a provider type that needs a URL and has none', async () => {
    const file = write(good({ llm_providers: [{ id: 'x', type: 'openai_compatible', api_keys: ['k'] }] }));
    const { code, err } = await run(['serve', '--config', file]);
    expect(code).toBe(2);
    expect(err).toMatch(/base_url/);
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe('waybill check', () => {
  it('exits 0 for a good file, 1 for findings, 2 for a file that cannot be read', async () => {
    expect((await run(['check', write(good())])).code).toBe(0);
    const bad = await run(['check', write('llm_providers: [')]);
    expect(bad.code).toBe(1);
    expect(bad.out).toMatch(/not valid YAML/);
    expect(bad.out + bad.err).not.toMatch(/\n\s+at /);
    expect((await run(['check', write({ llm_providers: [PROVIDER], colour: 'red' })])).code).toBe(1);
    expectRefusal(await run(['check', 'nope.yaml']), /no such file/);
  });
});

describe('the command line', () => {
  const commands = ['serve', 'check', 'schema', 'report', 'sandbox', 'bench'];

  it.each(commands)('%s --help has an example and exits 0', async (command) => {
    const { code, out, err } = await run([command, '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`Examples?:\\n  waybill ${command}`));
  });

  it('lists its commands, each with what it does', async () => {
    const { code, out } = await run(['--help']);
    expect(code).toBe(0);
    for (const command of commands) expect(out).toMatch(new RegExp(`^  ${command}\\b.*\\w{3}`, 'm'));
  });

  it.each([
    ['an unknown command', ['frobnicate']],
    ['an unknown option', ['serve', '--colour', 'red']],
    ['an option without its value', ['serve', '--config']],
    ['too many arguments', ['check', 'a.yaml', 'b.yaml']],
    ['no command', []],
  ])('exits 2 for %s, with a word on it and without a stack', async (_what, args) => {
    const { code, out, err } = await run(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/error: |Usage: /);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it.each([
    ['report', ['report', '--ledger', 'nope.db']],
    ['report', ['report', '--since', 'yesterday', '--ledger', 'nope.db']],
    ['sandbox', ['sandbox', '--port', 'http']],
  ])('%s says plainly what is wrong', async (_command, args) => {
    expectRefusal(await run(args), /./);
  });

  it('ends quietly when what reads its output has had enough', async () => {
    const child = spawn(process.execPath, [CLI, 'schema'], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    let err = '';
    child.stderr.on('data', (part) => {
      err += part;
    });
    // Nothing is read: the pipe is gone before the first byte.
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });
});

it('a good file starts, says where it listens, and makes the folder of its ledger', async () => {
  mkdirSync(join(dir, 'a'));
  const file = write(withLedger(join(dir, 'a', 'b', 'c', 'waybill.db')));
  const child = spawn(process.execPath, [CLI, 'serve', '--config', file], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.on('data', (part) => {
    out += part;
  });
  await expect.poll(() => out, { timeout: 10_000 }).toMatch(/Cost: npx waybill report/);
  const url = /listens on (http:\S+)/.exec(out)?.[1] ?? '';
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(readdirSync(join(dir, 'a', 'b', 'c'))).toEqual(['waybill.db']);
});
