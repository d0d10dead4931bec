import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/domain/errors.js';
import { Secret } from '../../../src/domain/secret.js';
import { createLogger, type LoggerOptions } from '../../../src/telemetry/logger.js';
import { createSwappableLogger } from '../../../src/telemetry/swappable-logger.js';
import { until } from '../../support/until.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-log-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const KEY = 'sk-proj-0123456789abcdefghij';

function options(overrides: Partial<LoggerOptions> = {}): LoggerOptions {
  return {
    level: 'info',
    format: 'json',
    file: { enabled: false, path: join(directory, 'waybill.log'), maxSizeMb: 100, maxBackups: 5 },
    destination: join(directory, 'stdout'),
    ...overrides,
  };
}

function linesOf(name: string): Array<Record<string, unknown>> {
  const text = readFileSync(join(directory, name), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('logger', () => {
  it('writes one JSON line a call, all of them by the time it is closed', async () => {
    const log = await createLogger(options());
    for (let count = 0; count < 1000; count += 1) log.info({ count }, 'request');
    await log.close();
    const lines = linesOf('stdout');
    expect(lines).toHaveLength(1000);
    expect(lines[999]).toMatchObject({ level: 'info', msg: 'request', count: 999 });
    expect(Number.isNaN(Date.parse(String(lines[0]?.time)))).toBe(false);
  });

  it('leaves out what is below the level, and says so beforehand', async () => {
    const log = await createLogger(options({ level: 'warn' }));
    expect([log.isEnabled('info'), log.isEnabled('warn')]).toEqual([false, true]);
    log.info({}, 'quiet');
    log.warn({}, 'loud');
    await log.close();
    expect(linesOf('stdout').map((line) => line.msg)).toEqual(['loud']);
  });

  it('never writes a credential, wherever it lands', async () => {
    const log = await createLogger(options());
    const cause = new Error(`upstream said: Incorrect API key provided: ${KEY}`);
    log.error({ err: new Error(`call failed with Authorization: Bearer ${KEY}`, { cause }) }, 'failed');
    log.warn({ headers: { Authorization: `Bearer ${KEY}`, 'x-api-key': KEY, accept: '*/*' } }, 'headers');
    log.info({ key: KEY, apiKey: new Secret(KEY), list: [{ deep: { api_key: KEY } }], text: `see ${KEY}` }, 'fields');
    log.info(new Error(KEY), 'an error in place of fields');
    await log.close();
    const text = readFileSync(join(directory, 'stdout'), 'utf8');
    expect(text).not.toContain(KEY);
    expect(linesOf('stdout')[1]).toMatchObject({ headers: { Authorization: '[redacted]', accept: '*/*' } });
    expect(linesOf('stdout')[0]).toMatchObject({
      err: { type: 'Error', message: expect.stringContaining('call failed') },
    });
    expect(linesOf('stdout')).toHaveLength(4);
  });

  it('keeps ids, counts and money as they are, and ends on a cycle', async () => {
    const log = await createLogger(options());
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    log.info({ keyId: 'huggingface:0123456789ab', costNanoUsd: 9007199254740993n, usage: { input: 0 }, cycle }, 'done');
    await log.close();
    expect(linesOf('stdout')[0]).toMatchObject({
      keyId: 'huggingface:0123456789ab',
      costNanoUsd: '9007199254740993',
      usage: { input: 0 },
    });
  });

  it('does not change the object it is given', async () => {
    const log = await createLogger(options());
    const fields = { headers: { authorization: 'Bearer abcdefghijkl' } };
    log.info(fields, 'once');
    await log.close();
    expect(fields.headers.authorization).toBe('Bearer abcdefghijkl');
  });

  it('rolls the file by size, keeps the newest, and links the one being written', async () => {
    const file = { enabled: true, path: join(directory, 'logs', 'waybill.log'), maxSizeMb: 0.01, maxBackups: 2 };
    const log = await createLogger(options({ file }));
    for (let round = 0; round < 8; round += 1) {
      const before = readlinkSync(file.path);
      for (let count = 0; count < 100; count += 1) log.info({ round, filler: 'x'.repeat(120) }, 'line');
      await until('the log is written', () => readlinkSync(file.path) !== before);
    }
    const numbered = () => readdirSync(join(directory, 'logs')).filter((name) => /^waybill\.\d+\.log$/.test(name));
    await until('the log is written', () => numbered().length <= file.maxBackups + 1);
    await log.close();
    const newest = numbered()
      .sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1]))
      .at(-1);
    expect(readlinkSync(file.path)).toBe(newest);
    expect(numbered().length).toBeGreaterThan(1);
    for (const name of numbered()) linesOf(join('logs', name));
  });

  it('loses no line when a reload opens a second logger on the same file', async () => {
    const file = { enabled: true, path: join(directory, 'waybill.log'), maxSizeMb: 100, maxBackups: 2 };
    const old = await createLogger(options({ file }));
    for (let count = 0; count < 500; count += 1) old.info({ from: 'old' }, 'line');
    const next = await createLogger(options({ file, level: 'debug' }));
    for (let count = 0; count < 500; count += 1) {
      old.info({ from: 'old' }, 'line');
      next.debug({ from: 'next' }, 'line');
    }
    await old.close();
    old.info({ from: 'late' }, 'dropped without a fall');
    await next.close();
    const lines = linesOf('waybill.log');
    expect(lines.filter((line) => line.from === 'old')).toHaveLength(1000);
    expect(lines.filter((line) => line.from === 'next')).toHaveLength(500);
  });

  it('goes on in the next logger for everybody who holds the first', async () => {
    const log = createSwappableLogger(await createLogger(options({ level: 'warn' })));
    const { info } = log;
    info({}, 'below the level');
    log.warn({}, 'before');
    await log.swap(await createLogger(options({ destination: join(directory, 'next') })));
    expect(log.isEnabled('info')).toBe(true);
    info({}, 'after');
    await log.close();
    expect(linesOf('stdout').map(({ msg }) => msg)).toEqual(['before']);
    expect(linesOf('next').map(({ msg }) => msg)).toEqual(['after']);
  });

  it.each(['process.exit(3)', "throw new Error('down')"])(
    'has written everything when the process ends by %s',
    async (end) => {
      const settings = { ...options(), file: { ...options().file, enabled: true } };
      const script = `
        import { createLogger } from ${JSON.stringify(join(process.cwd(), 'src/telemetry/logger.ts'))};
        const log = await createLogger(${JSON.stringify(settings)});
        for (let n = 0; n < 2000; n += 1) log.info({ n, filler: 'x'.repeat(100) }, 'line');
        await new Promise((resolve) => setTimeout(resolve, 20));
        for (let n = 2000; n < 2010; n += 1) log.info({ n }, 'line');
        ${end};`;
      const run = promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]);
      await expect(run).rejects.toMatchObject({ code: expect.any(Number) });
      for (const name of ['stdout', 'waybill.log']) {
        expect(linesOf(name).map(({ n }) => n)).toEqual(Array.from({ length: 2010 }, (_, n) => n));
      }
    },
  );

  it('says plainly that the log file cannot be written', async () => {
    writeFileSync(join(directory, 'occupied'), '');
    for (const path of [join(directory, 'occupied', 'waybill.log'), '/proc/nowhere/waybill.log']) {
      const file = { enabled: true, path, maxSizeMb: 1, maxBackups: 1 };
      await expect(createLogger(options({ file }))).rejects.toThrow(UserError);
    }
    // Nothing is left behind that would still write, and throw where nobody catches.
    await new Promise((resolve) => setTimeout(resolve, 300));
  });

  it('leaves a file alone that lies where its link would', async () => {
    const path = join(directory, 'waybill.log');
    writeFileSync(path, 'mine\n');
    const log = await createLogger(options({ file: { enabled: true, path, maxSizeMb: 1, maxBackups: 1 } }));
    log.info({}, 'line');
    await log.close();
    expect(readFileSync(path, 'utf8')).toBe('mine\n');
    expect(statSync(join(directory, 'waybill.1.log')).size).toBeGreaterThan(0);
  });

  it('writes for people when asked to', async () => {
    const log = await createLogger(options({ format: 'pretty' }));
    log.info({ port: 2906 }, 'listening');
    await log.close();
    const text = readFileSync(join(directory, 'stdout'), 'utf8');
    expect(text).toContain('INFO');
    expect(text).toContain('listening');
    expect(text).toContain('port: 2906');
  });
});
