import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigFile } from '../../../src/config/config-file.js';
import { type FileStamps, stampNow, type Watch, watchFiles } from '../../../src/config/watch.js';
import { UserError } from '../../../src/domain/errors.js';
import { noModules } from '../../support/no-modules.js';
import { KNOWN_TYPES } from './known-types.js';

/** Real files, watched without a clock: the test says when each pause of the watcher ends. */

let dir: string;
let watch: Watch;
let calls: number;
let seen: FileStamps;
let pauses: Array<{ ms: number; end: () => void }>;
let onPause: () => void;

const POLL = 500;
const SETTLE = 250;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'waybill-watch-'));
  calls = 0;
  pauses = [];
  onPause = () => {};
});
afterEach(() => {
  watch?.close();
  rmSync(dir, { recursive: true, force: true });
});

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    pauses.push({ ms, end: resolve });
    onPause();
  });
}

/** Ends the pause that the watcher makes, or comes to make, and says which it was. */
async function turn(): Promise<number> {
  if (pauses.length === 0) {
    await new Promise<void>((resolve) => {
      onPause = resolve;
    });
  }
  const { ms, end } = pauses.shift() as { ms: number; end: () => void };
  end();
  return ms;
}

/** Turns until the watcher rests between two looks again: a look at files that did not change, or a whole change. */
async function lookOnce(): Promise<void> {
  expect(await turn()).toBe(POLL);
  for (;;) {
    if (pauses.length === 0) {
      await new Promise<void>((resolve) => {
        onPause = resolve;
      });
    }
    if (pauses[0]?.ms === POLL) return;
    await turn();
  }
}

/** As they are after they were read long ago. */
function look(...paths: string[]): FileStamps {
  return new Map(paths.map((path) => [path, stampNow(path).replace(' fresh', '')]));
}

function start(...paths: string[]): void {
  seen = look(...paths);
  watch = watchFiles({
    seen: () => seen,
    onChange: async () => {
      calls += 1;
      seen = look(...paths);
    },
    pause,
  });
}

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

describe('a watched file', () => {
  it('that stays as it is calls nobody', async () => {
    start(write('a.yaml', 'one'));
    await lookOnce();
    await lookOnce();
    expect(calls).toBe(0);
  });

  it('may be written in place', async () => {
    const path = write('a.yaml', 'one');
    start(path);
    writeFileSync(path, 'another');
    await lookOnce();
    expect(calls).toBe(1);
    await lookOnce();
    expect(calls).toBe(1);
  });

  it('may be replaced by a rename, as editors do it', async () => {
    const path = write('a.yaml', 'one');
    start(path);
    renameSync(write('.a.yaml.swp', 'two'), path);
    await lookOnce();
    expect(calls).toBe(1);
  });

  it('may be a link into a folder that is swapped, as Kubernetes does it', async () => {
    for (const version of ['..1', '..2']) {
      mkdirSync(join(dir, version));
      write(`${version}/config.yaml`, version);
    }
    symlinkSync('..1', join(dir, '..data'));
    symlinkSync(join('..data', 'config.yaml'), join(dir, 'config.yaml'));
    start(join(dir, 'config.yaml'));
    symlinkSync('..2', join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    await lookOnce();
    expect(calls).toBe(1);
  });

  it('may lie elsewhere than the link that is named, and be written there', async () => {
    mkdirSync(join(dir, 'elsewhere'));
    const real = write('elsewhere/real.yaml', 'one');
    symlinkSync(real, join(dir, 'config.yaml'));
    start(join(dir, 'config.yaml'));
    writeFileSync(real, 'another');
    await lookOnce();
    expect(calls).toBe(1);
  });

  it('may vanish and come back', async () => {
    const path = write('a.yaml', 'one');
    start(path);
    rmSync(path);
    await lookOnce();
    expect(calls).toBe(1);
    await lookOnce();
    expect(calls).toBe(1);
    write('a.yaml', 'one');
    await lookOnce();
    expect(calls).toBe(2);
  });

  it('is not read before it has rested', async () => {
    const path = write('a.yaml', 'one');
    start(path);
    appendFileSync(path, ' two');
    expect(await turn()).toBe(POLL);
    for (const more of [' three', ' four']) {
      // The watcher pauses to see whether that was all: it was not.
      await new Promise<void>((resolve) => {
        if (pauses.length > 0) resolve();
        else onPause = resolve;
      });
      appendFileSync(path, more);
      expect(await turn()).toBe(SETTLE);
      expect(calls).toBe(0);
    }
    expect(await turn()).toBe(SETTLE);
    expect(await turn()).toBe(POLL);
    expect(calls).toBe(1);
  });

  it('that was read meanwhile for another reason is not read again', async () => {
    const path = write('a.yaml', 'one');
    start(path);
    writeFileSync(path, 'another');
    expect(await turn()).toBe(POLL);
    await new Promise<void>((resolve) => {
      if (pauses.length > 0) resolve();
      else onPause = resolve;
    });
    seen = look(path);
    expect(await turn()).toBe(SETTLE);
    await lookOnce();
    expect(calls).toBe(0);
  });

  it('keeps no process alive, and is let go at once', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const own = watchFiles({ seen: () => new Map(), onChange: async () => {} });
    expect(timers()).toBe(before);
    own.close();
    start(write('a.yaml', 'one'));
  });
});

describe('a config file', () => {
  const text = (key: string) => `llm_providers: [{ id: one, type: openai, api_keys: ["${key}"] }]\n`;
  const open = (file: string) => new ConfigFile({ file, env: {}, knownTypes: KNOWN_TYPES, loadModule: noModules });

  it('is the same as long as it and the files that it names have the same content', async () => {
    const secret = write('secret', 'sk-1\n');
    const file = open(write('config.yaml', text(`\${file:${secret}}`)));
    const first = await file.read();
    expect(first.config?.providers[0]?.keys[0]?.secret.reveal()).toBe('sk-1');
    expect([...file.seen.keys()]).toEqual([file.path, secret]);
    utimesSync(secret, 1, 1);
    expect((await file.read()).fingerprint).toBe(first.fingerprint);
    writeFileSync(secret, 'sk-2\n');
    const second = await file.read();
    expect(second.fingerprint).not.toBe(first.fingerprint);
    expect(second.config?.providers[0]?.keys[0]?.secret.reveal()).toBe('sk-2');
  });

  it('that was written just now is looked at once more: a second write in the same tick would not show', async () => {
    const file = open(write('config.yaml', text('sk-1')));
    await file.read();
    expect(file.seen.get(file.path)).toMatch(/ fresh$/);
    utimesSync(file.path, 1, 1);
    await file.read();
    expect(file.seen.get(file.path)).not.toMatch(/fresh/);
  });

  it('that is missing is still watched for', async () => {
    const file = open(join(dir, 'nowhere.yaml'));
    await expect(file.read()).rejects.toThrow(UserError);
    expect(file.seen).toEqual(new Map([[file.path, 'missing']]));
  });

  it('that is a pipe is read once: a second look would wait for ever', async () => {
    const file = open('/dev/null');
    expect((await file.read()).config).toBeNull();
    await expect(file.read()).rejects.toThrow(/cannot read the config file \/dev\/null: it is no regular file/);
  });

  it('goes with what the command line says, each time it is read', async () => {
    const path = write('config.yaml', text('sk-1'));
    const file = new ConfigFile({
      ...{ file: path, env: {}, knownTypes: KNOWN_TYPES, loadModule: noModules },
      adjust: (config) => ({ ...config, server: { ...config.server, port: 1 } }),
    });
    expect([await file.read(), await file.read()].map(({ config }) => config?.server.port)).toEqual([1, 1]);
  });
});
