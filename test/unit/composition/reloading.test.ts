import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFoundation, openLedger } from '../../../src/composition/foundation.js';
import { buildGeneration, type Foundation } from '../../../src/composition/generation.js';
import { InFlight } from '../../../src/composition/in-flight.js';
import { recordPrices } from '../../../src/composition/price-book.js';
import { Reloading } from '../../../src/composition/reloading.js';
import { Running } from '../../../src/composition/running.js';
import type { Serving } from '../../../src/composition/serving.js';
import type { Config } from '../../../src/config/config.js';
import { ConfigFile } from '../../../src/config/config-file.js';
import { UserError } from '../../../src/domain/errors.js';
import type { Ledger } from '../../../src/domain/ledger.js';
import { createMeter } from '../../../src/metering/meter.js';
import { adapters } from '../../../src/providers/registry.js';
import { createLogger } from '../../../src/telemetry/logger.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { createSwappableLogger, type SwappableLogger } from '../../../src/telemetry/swappable-logger.js';
import { settled } from '../../support/fake-clock.js';
import { noModules } from '../../support/no-modules.js';

/** The real parts of a daemon without its port: what swaps, what stays, what is said. */

let dir: string;
let ledger: Ledger;
let logger: SwappableLogger;
let foundation: Foundation;
let running: Running;
let inFlight: InFlight;
let reloading: Reloading;
let beforeBuild: (config: Config) => Promise<void>;

const provider = (rest: object = {}) => ({
  ...{ id: 'one', type: 'openai_compatible', base_url: 'http://127.0.0.1:1/v1', api_keys: ['key-1'] },
  ...{ models: [{ id: 'm' }], pricing: { input_token_cost: '0.000001' } },
  ...rest,
});

function write(config: object): void {
  const storage = { ledger: { type: 'sqlite', path: join(dir, 'waybill.db') } };
  writeFileSync(join(dir, 'config.yaml'), JSON.stringify({ storage, ...config }));
}

/** Nothing is asked of what is built here. */
const NO_PATHS = {
  has: () => false,
  beginRequest: () => ({ inferenceId: '', receivedAt: 0 }),
  answer: () => {},
};

async function build(config: Config, number: number): Promise<Serving> {
  await beforeBuild(config);
  const generation = buildGeneration(config, number, foundation, null);
  await recordPrices(generation, number === 1 ? null : running.serving.generation, foundation);
  return { generation, handler: { handle: () => {}, hot: NO_PATHS } };
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waybill-reloading-'));
  write({ llm_providers: [provider()] });
  const source = new ConfigFile({
    file: join(dir, 'config.yaml'),
    env: {},
    knownTypes: adapters,
    loadModule: noModules,
  });
  const first = await source.read();
  const config = first.config as Config;
  logger = createSwappableLogger(await createLogger({ ...config.logging, destination: join(dir, 'log') }));
  const metrics = createMetrics({ process: false });
  ledger = openLedger({ config, logger, metrics });
  running = new Running(config);
  foundation = createFoundation({ current: () => running.config, ledger, meter: createMeter({}), logger, metrics });
  inFlight = new InFlight();
  beforeBuild = async () => {};
  running.swap(await build(config, 1));
  reloading = new Reloading({ source, first, running, build, foundation, inFlight, logger });
});
afterEach(async () => {
  await foundation.limiter.close();
  await foundation.client.close();
  await ledger.close();
  await logger.close();
  rmSync(dir, { recursive: true, force: true });
});

it('tells new content from content that is in use', async () => {
  expect(await reloading.reload('request')).toEqual({ kind: 'taken', isNew: false, generation: 1, warnings: [] });
  write({ llm_providers: [provider({ weight: 2 })] });
  expect(await reloading.reload('request')).toEqual({ kind: 'taken', isNew: true, generation: 2, warnings: [] });
  expect(await reloading.reload('request')).toMatchObject({ isNew: false, generation: 2 });
  expect(running.config.providers[0]?.weight).toBe(2);
});

it('uses no number up for what is refused, and goes back to what was in use without a new one', async () => {
  const before = running.serving;
  write({ llm_providers: [provider({ weight: -1 })] });
  expect(await reloading.reload('file')).toMatchObject({ kind: 'refused', errors: [{ line: 1 }] });
  expect(running.serving).toBe(before);
  write({ llm_providers: [provider()] });
  expect(await reloading.reload('file')).toMatchObject({ kind: 'taken', isNew: false, generation: 1 });
  write({ llm_providers: [provider({ weight: 3 })] });
  expect(await reloading.reload('file')).toMatchObject({ isNew: true, generation: 2 });
});

it('refuses what cannot be built, and what breaks on the way goes to whoever asked', async () => {
  write({ llm_providers: [provider({ weight: 2 })] });
  beforeBuild = async () => {
    throw new UserError('the sandbox has no port');
  };
  expect(await reloading.reload('file')).toEqual({
    kind: 'refused',
    errors: [{ path: '', line: 1, message: 'the sandbox has no port' }],
  });
  beforeBuild = async () => {
    throw new RangeError('a bug');
  };
  await expect(reloading.reload('request')).rejects.toThrow('a bug');
  await reloading.reloadAndLog('file');
  expect(running.serving.generation.number).toBe(1);
  beforeBuild = async () => {};
  expect(await reloading.reload('file')).toMatchObject({ isNew: true, generation: 2 });
});

it('waits for a ledger that another has locked, so that a new price is in the book before it is used', async () => {
  const locker = new Database(join(dir, 'waybill.db'));
  locker.exec('BEGIN IMMEDIATE');
  write({ llm_providers: [provider({ pricing: { input_token_cost: '0.000009' } })] });
  let isTaken = false;
  const taken = reloading.reload('request').then((outcome) => {
    isTaken = true;
    return outcome;
  });
  await foundation.clock.sleep(150);
  expect([isTaken, running.serving.generation.number]).toEqual([false, 1]);
  locker.exec('ROLLBACK');
  locker.close();
  expect(await taken).toMatchObject({ isNew: true, generation: 2 });
});

it('swaps nothing once the daemon stops, also where it began before', async () => {
  write({ llm_providers: [provider({ weight: 2 })] });
  beforeBuild = async () => inFlight.drain();
  await expect(reloading.reload('request')).rejects.toMatchObject({ code: 'shutting_down', status: 503 });
  expect(running.serving.generation.number).toBe(1);
  await expect(reloading.reload('request')).rejects.toMatchObject({ code: 'shutting_down' });
});

/** The only key of the running configuration, cooling down while a request is under way. */
function coolKey(): { keyId: string; end: () => Promise<void> } {
  const [provider] = running.serving.generation.providers.all;
  const keyId = provider?.keys[0]?.id as string;
  provider?.pool.report(keyId, { action: 'rotate-key', cooldownMs: 60_000 });
  const life = inFlight.enter();
  return {
    keyId,
    end: async () => {
      inFlight.leave(life);
      await settled();
    },
  };
}

it('forgets a key that is gone when the last request that may use it has ended', async () => {
  const { keyId, end } = coolKey();
  write({ llm_providers: [provider({ api_keys: ['key-2'] })] });
  await reloading.reload('file');
  expect([...foundation.keyMemory.keys()]).toEqual([keyId]);
  await end();
  expect([...foundation.keyMemory.keys()]).toEqual([]);
});

it('keeps what is known of a key that comes back before that', async () => {
  const { end } = coolKey();
  write({ llm_providers: [provider({ api_keys: ['key-2'] })] });
  await reloading.reload('file');
  write({ llm_providers: [provider({ api_keys: ['key-1', 'key-2'] })] });
  await reloading.reload('file');
  await end();
  const states = running.serving.generation.providers.all[0]?.pool.snapshot().map(({ state }) => state);
  expect(states).toEqual(['cooling', 'ready']);
});
