import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientOf } from '../../../src/composition/clients.js';
import { restoreLimits } from '../../../src/composition/past-limits.js';
import { type BuiltProviders, buildProviders, keyScopes } from '../../../src/composition/providers.js';
import type { Config } from '../../../src/config/config.js';
import { parseConfigText } from '../../../src/config/parse.js';
import type { AttemptSettlement, Ledger } from '../../../src/domain/ledger.js';
import { type Limiter, type LimitScope, LimitWaitError } from '../../../src/domain/limit.js';
import { createKeyMemory } from '../../../src/keys/memory.js';
import { pruneLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { readPastCalls } from '../../../src/ledger/sqlite/past-calls.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { createLimiter } from '../../../src/limits/limiter.js';
import { adapters, findAdapter } from '../../../src/providers/registry.js';
import { anAttempt, anAttemptEnd, aRequest, aRequestEnd, aUsage } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';
import { anAsk } from '../limits/builders.js';

/** Windows over a restart: what a new limiter counts from the ledger is what the old one had counted. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const EVERY_LIMIT = {
  req_per_min: 50,
  tokens_per_min: 40_000,
  req_per_day: 5_000,
  req_per_month: 50_000,
  session_limit: 900_000,
  session_type: '5h',
};

let folder: string;
let path: string;
let clock: FakeClock;
let ledger: Ledger;
let limiter: Limiter;
let config: Config;
let providers: BuiltProviders;
let ids = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-past-'));
  path = join(folder, 'waybill.db');
  clock = new FakeClock(Date.UTC(2026, 4, 20, 10, 17, 3));
  open();
});
afterEach(async () => {
  await ledger.close();
  await limiter.close();
  rmSync(folder, { recursive: true });
});

function open(): void {
  ledger = openSqliteLedger({ path, durability: 'process', clock, logger: silentLogger });
  limiter = createLimiter({ clock, queueMaxLength: () => 10, logger: silentLogger });
}

/** Another process begins with the same ledger. What was in flight in the first is interrupted. */
async function restart(): Promise<void> {
  await ledger.close();
  await limiter.close();
  open();
  restoreLimits({ generation: { config, providers }, limiter, ledgerPath: path, clock });
}

function configure(limits: { key?: object; model?: object; client?: object }): void {
  const text = JSON.stringify({
    llm_providers: [
      {
        id: 'a',
        type: 'openai_compatible',
        base_url: 'http://127.0.0.1:9/v1',
        api_keys: ['one', 'two'],
        models: [{ id: 'm', provider_model: 'vendor/m', limits: limits.model ?? {} }, { id: 'n' }],
        limits: limits.key ?? {},
      },
    ],
    api_keys: ['x', 'y'].map((id) => ({ id, key: `${id}-key`, limits: limits.client ?? {} })),
  });
  const parsed = parseConfigText({ text, env: {}, readFile: () => '', knownTypes: adapters });
  if (parsed.config === null) throw new Error(JSON.stringify(parsed.problems));
  config = parsed.config;
  providers = buildProviders(config, {
    findAdapter,
    keyMemory: createKeyMemory(),
    clock,
    random: () => 0.5,
    backoff: { intervalMs: 1, maxIntervalMs: 1 },
    sandboxUrl: null,
  });
}

function scopes(): { keys: LimitScope[]; model: LimitScope | null; clients: LimitScope[] } {
  const model = providers.all[0]?.offer.targets.find((target) => target.model === 'm')?.modelScope ?? null;
  return { keys: keyScopes(providers), model, clients: (config.clients ?? []).map((each) => clientOf(each).limits) };
}

interface CallOptions {
  key?: 0 | 1;
  model?: 'm' | 'n';
  client?: 0 | 1;
  reserved?: number;
  used?: number;
  end?: 'reported' | 'lower-bound' | 'unused' | 'never';
  lastsMs?: number;
}

/** One request with one call, as the dispatcher makes it: taken, written, settled. */
async function call(options: CallOptions = {}): Promise<void> {
  const { key = 0, model = 'm', client = 0, reserved = 1_000, used = 300, end = 'reported', lastsMs = 0 } = options;
  const all = scopes();
  const keyScope = all.keys[key] as LimitScope;
  const scopesOfCall = model === 'm' && all.model !== null ? [keyScope, all.model] : [keyScope];
  const reservations = [scopesOfCall, [all.clients[client] as LimitScope]].map((each) =>
    limiter.tryReserve(anAsk({ options: [{ option: 'o', scopes: each }], tokens: reserved })),
  );
  if (reservations.includes(null)) {
    for (const reservation of reservations) reservation?.settle(0, false);
    throw new Error('no room');
  }
  ids += 1;
  const inferenceId = `i${ids}`;
  await ledger.write({
    request: aRequest({ inferenceId, receivedAt: clock.now(), client: ['x', 'y'][client] as string }),
    attemptIntent: anAttempt({
      inferenceId,
      sentAt: clock.now(),
      provider: 'a',
      providerModel: model === 'm' ? 'vendor/m' : 'n',
      key: keyScope.id.slice('key:'.length),
      reservedTokens: reserved,
    }),
  });
  if (end === 'never') return;
  await clock.advance(lastsMs);
  const isUnused = end === 'unused';
  const usage = isUnused ? null : aUsage({ input: used - 100, cachedInput: 40, output: 60 }, end);
  const settlement: Partial<AttemptSettlement> = { usage, endedAt: clock.now(), outcome: isUnused ? 'failed' : 'ok' };
  for (const reservation of reservations) {
    reservation?.settle(isUnused ? 0 : used, end === 'lower-bound');
    reservation?.release();
  }
  await ledger.write({
    attemptSettlement: anAttemptEnd({ inferenceId, ...settlement }),
    requestSettlement: aRequestEnd({ inferenceId, endedAt: clock.now() }),
  });
}

function remaining(): object {
  const { keys, model, clients } = scopes();
  return [...keys, ...(model === null ? [] : [model]), ...clients].map((scope) => ({
    scope: scope.id,
    limits: limiter.snapshot(scope).map(({ kind, windowMs, remaining: left }) => ({ kind, windowMs, left })),
  }));
}

async function refusal(scope: LimitScope, tokens: number): Promise<LimitWaitError> {
  const ask = anAsk({ options: [{ option: 'o', scopes: [scope] }], tokens, maxWaitMs: 0 });
  const error = await limiter.reserve(ask).catch((reason: unknown) => reason);
  if (!(error instanceof LimitWaitError)) throw new Error(`not refused: ${String(error)}`);
  return error;
}

describe('a restart', () => {
  it('leaves every window of every key, model and client as it was, now and as time goes on', async () => {
    configure({ key: EVERY_LIMIT, model: EVERY_LIMIT, client: EVERY_LIMIT });
    const ends = ['reported', 'lower-bound', 'unused', 'reported', 'never'] as const;
    for (let n = 0; n < 60; n += 1) {
      await call({
        key: (n % 2) as 0 | 1,
        model: n % 3 === 0 ? 'n' : 'm',
        client: n % 7 === 0 ? 1 : 0,
        reserved: 500 + 13 * n,
        used: 200 + 11 * n,
        end: ends[n % ends.length] as (typeof ends)[number],
        lastsMs: 31 * n,
      });
      await clock.advance(n % 20 === 19 ? 3 * HOUR : 1_500);
    }
    const before = limiter;
    const now = remaining();
    await restart();
    expect(remaining()).toEqual(now);
    // The takings stand at the same instants too.
    const restored = limiter;
    for (const ms of [10_000, 25_000, 40_000, HOUR, 2 * HOUR, 4 * HOUR, DAY, 31 * DAY]) {
      await clock.advance(ms);
      limiter = before;
      const expected = remaining();
      limiter = restored;
      expect(remaining()).toEqual(expected);
    }
  });

  it('gives no second session: refused until the first tokens leave the window, and free then', async () => {
    configure({ key: { session_limit: 1_000, session_type: '1h' } });
    await call({ reserved: 600, used: 600 });
    await clock.advance(20 * 60_000);
    await call({ reserved: 400, used: 400 });
    await clock.advance(60_000);
    await restart();
    const [key, other] = scopes().keys as [LimitScope, LimitScope];
    const { reason, retryAfterMs } = await refusal(key, 500);
    expect(reason).toBe('too-long');
    expect(retryAfterMs).toBeGreaterThan(39 * 60_000 - 1);
    expect(retryAfterMs).toBeLessThan(39 * 60_000 + 10_000);
    expect(limiter.hasRoom([other], 1_000)).toBe(true);
    await clock.advance(retryAfterMs as number);
    expect(limiter.hasRoom([key], 500)).toBe(true);
    expect(limiter.hasRoom([key], 700)).toBe(false);
    await clock.advance(20 * 60_000 + 10_000);
    expect(limiter.hasRoom([key], 1_000)).toBe(true);
  });

  it.each([
    ['minute', { req_per_min: 2 }, 61_000],
    ['day', { req_per_day: 2 }, DAY + 200_000],
    ['month', { req_per_month: 2 }, 31 * DAY + HOUR],
  ])('gives no second allowance of a %s', async (_, limits, freeAfterMs) => {
    configure({ client: limits, model: limits });
    await call();
    await call();
    await restart();
    const { clients, model } = scopes();
    const [client, other] = clients as [LimitScope, LimitScope];
    expect(limiter.hasRoom([client], 1)).toBe(false);
    expect(limiter.hasRoom([model as LimitScope], 1)).toBe(false);
    expect(limiter.hasRoom([other], 1)).toBe(true);
    await clock.advance(freeAfterMs);
    expect(limiter.hasRoom([client], 1)).toBe(true);
    expect(limiter.hasRoom([model as LimitScope], 1)).toBe(true);
  });

  it('counts what was in flight as it was estimated, also over the next restart', async () => {
    configure({ key: { session_limit: 1_000, session_type: '1h' } });
    await call({ reserved: 700, end: 'never' });
    for (let times = 0; times < 2; times += 1) {
      await restart();
      const [key] = scopes().keys as [LimitScope];
      expect(limiter.hasRoom([key], 301)).toBe(false);
      expect(limiter.hasRoom([key], 300)).toBe(true);
    }
  });

  it('counts nothing twice when the clock was set back', async () => {
    configure({ key: { req_per_day: 3 } });
    await call();
    clock.jumpTo(clock.now() - HOUR);
    await restart();
    expect(limiter.snapshot(scopes().keys[0] as LimitScope)[0]).toMatchObject({ remaining: 2 });
  });
});

describe('what is older than the newest requests', () => {
  it('is the same in sum, and is never counted too short', async () => {
    configure({});
    const ends = ['reported', 'lower-bound', 'never', 'unused'] as const;
    for (let n = 0; n < 120; n += 1) {
      await call({
        key: (n % 2) as 0 | 1,
        client: n % 3 === 0 ? 1 : 0,
        reserved: 400 + n,
        end: ends[n % ends.length] as (typeof ends)[number],
      });
      await clock.advance(7 * 60_000 + n);
    }
    await restart();
    const exact = readPastCalls(path, 0, 1_000);
    for (const singly of [1, 10, 57, 119]) {
      const some = readPastCalls(path, 0, singly);
      expect(totals(some)).toEqual(totals(exact));
      for (let at = exact[0]?.at ?? 0; at < clock.now(); at += 30 * 60_000) {
        const since = (calls: typeof exact) =>
          calls.filter((each) => each.at >= at).reduce((sum, { tokens }) => sum + tokens, 0);
        expect(since(some)).toBeGreaterThanOrEqual(since(exact));
        // And for no more than an hour too long.
        const before = (calls: typeof exact) =>
          calls.filter((each) => each.at >= at + HOUR).reduce((sum, { tokens }) => sum + tokens, 0);
        expect(before(some)).toBeLessThanOrEqual(since(exact));
      }
    }
  });

  it('is in the hourly totals when retention has deleted its rows', async () => {
    configure({});
    for (let n = 0; n < 20; n += 1) {
      await call();
      await clock.advance(11 * 60_000);
    }
    const all = totals(readPastCalls(path, 0));
    for (const before of [clock.now() - 2 * HOUR, clock.now() + HOUR]) {
      pruneLedgerFile(path, { before, now: clock.now() });
      expect(totals(readPastCalls(path, clock.now() - DAY))).toEqual(all);
    }
  });
});

function totals(calls: ReturnType<typeof readPastCalls>): object {
  const sums: Record<string, { requests: number; clientRequests: number; tokens: number }> = {};
  for (const each of calls) {
    const name = [each.client, each.key, each.provider, each.providerModel].join(' ');
    sums[name] ??= { requests: 0, clientRequests: 0, tokens: 0 };
    const sum = sums[name];
    sum.requests += each.requests;
    sum.clientRequests += each.clientRequests;
    sum.tokens += each.tokens;
  }
  return sums;
}
