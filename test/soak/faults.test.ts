import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { type LedgerRequest, provider } from '../support/failing-providers.js';
import { chat, type Outcome, type SoakUpstream, soakSeconds, startSoakUpstream } from './harness.js';
import { type Log, type Schedule, spellAt } from './script.js';

/**
 * Ten providers of five keys, most of them in trouble of every kind at any time, and one of the keys bad for good. In
 * each spell a few are well, one of them since the spell before: so any short request has one that is well throughout.
 */
const SECONDS = soakSeconds(20);
const PROVIDERS = 10;
const MAX_ATTEMPTS = 20;
const A_SECOND = 15;

let schedule: Schedule;
let upstream: SoakUpstream;
let daemon: Daemon;

beforeAll(async () => {
  schedule = makeSchedule();
  upstream = await startSoakUpstream(schedule);
  daemon = await startDaemon({
    config: {
      logging: { level: 'fatal' },
      llm_providers: Array.from({ length: PROVIDERS }, (_, p) =>
        provider(`p${p}`, `${upstream.url}/p${p}`, {
          api_keys: Array.from({ length: 5 }, (_, k) => `key-${p}-${k}`),
        }),
      ),
      policy: {
        retry: {
          max_attempts: MAX_ATTEMPTS,
          timeout: '2s',
          interval: '50ms',
          max_interval: '500ms',
          max_wait: '20s',
        },
        fallback: { max_providers: PROVIDERS - 1 },
      },
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.stop();
});

function makeSchedule(): Schedule {
  const spellMs = 4_000;
  const well: number[][] = [[0]];
  for (let spell = 1; spell < (SECONDS * 1_000) / spellMs + 30; spell += 1) {
    const before = well.at(-1) as number[];
    const carried = before[Math.floor(Math.random() * before.length)] as number;
    const others = Array.from({ length: 1 + (spell % 2) }, () => Math.floor(Math.random() * PROVIDERS));
    well.push([...new Set([carried, ...others])]);
  }
  const badKeys = Array.from({ length: PROVIDERS }, (_, p) => `key-${p}-0`);
  return { startsAt: Date.now(), spellMs, well, badKeys, slowMs: 4_000 };
}

it(`answers every request of ${SECONDS} s for which there was a provider`, {
  timeout: (SECONDS + 120) * 1_000,
}, async () => {
  const pending: Array<Promise<Outcome>> = [];
  const end = Date.now() + SECONDS * 1_000;
  for (let n = 0; Date.now() < end; n += 1) {
    pending.push(chat(daemon, { id: `r${n}`, in: 10, out: 5, ms: n % 30 }, { body: { stream: n % 2 === 0 } }));
    await sleep(1_000 / A_SECOND);
  }
  const outcomes = await Promise.all(pending);
  const calls = new Map<string, Log[]>();
  for (const line of await upstream.log()) calls.set(line.id, [...(calls.get(line.id) ?? []), line]);
  const unanswered: object[] = [];
  const tally: Record<string, number> = {};
  let most = 0;
  for (const outcome of outcomes) {
    const made = (calls.get(outcome.id) ?? []).sort((one, other) => one.at - other.at);
    most = Math.max(most, made.length);
    const name = outcome.isBroken ? 'broken' : `${outcome.status} ${outcome.code ?? ''}`;
    tally[name] = (tally[name] ?? 0) + 1;
    expect(made.length, outcome.id).toBeLessThanOrEqual(MAX_ATTEMPTS);
    // The first that sent content is the last that was asked.
    expect(
      made.findIndex(({ hasContent }) => hasContent),
      outcome.id,
    ).toSatisfy((at: number) => at === -1 || at === made.length - 1);
    if (isAnswered(outcome, made)) continue;
    if (isWellThroughout(outcome)) unanswered.push({ ...outcome, made: made.map(brief) });
  }
  const log = [...calls.values()].flat();
  const longest = Math.max(...outcomes.map(({ startedAt, endedAt }) => endedAt - startedAt));
  process.stdout.write(`${JSON.stringify({ tally, most, longest, calls: log.length, faults: faultsOf(log) })}\n`);
  expect(unanswered.slice(0, 3), `${unanswered.length} unanswered`).toEqual([]);
  expect(most).toBeGreaterThan(1);
  await expectRecorded(outcomes, calls);
});

/** A stream that broke after its first content was answered: nothing may be done about it. */
function isAnswered(outcome: Outcome, made: readonly Log[]): boolean {
  if (outcome.status !== 200) return false;
  const hasEnd = outcome.text.includes('[DONE]') || outcome.text.includes('"finish_reason":"stop"');
  return hasEnd || made.at(-1)?.hasContent === true;
}

function isWellThroughout({ startedAt, endedAt }: Outcome): boolean {
  let left = [...spellAt(schedule, startedAt)];
  for (let at = startedAt; at <= endedAt; at += 100) {
    left = left.filter((one) => spellAt(schedule, at).includes(one));
  }
  return left.some((one) => spellAt(schedule, endedAt).includes(one));
}

/** The ledger has as many attempts as the upstream was asked. */
async function expectRecorded(outcomes: readonly Outcome[], calls: Map<string, Log[]>): Promise<void> {
  for (const { id, inferenceId } of outcomes.slice(-30)) {
    if (inferenceId === null) continue;
    const { attempts } = await daemon.admin<LedgerRequest>(`/requests/${inferenceId}`);
    expect(attempts.length, id).toBe(calls.get(id)?.length ?? 0);
  }
}

function faultsOf(log: readonly Log[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { fault } of log) {
    const name = fault === null ? 'none' : fault.kind === 'status' ? String(fault.status) : fault.kind;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function brief({ at, provider: p, key, fault }: Log): string {
  const name = fault === null ? 'none' : fault.kind === 'status' ? String(fault.status) : fault.kind;
  return `${at} p${p} ${key} ${name}`;
}
