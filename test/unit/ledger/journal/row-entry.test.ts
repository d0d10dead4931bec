import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../../../src/domain/ledger.js';
import { RATE_CLASSES } from '../../../../src/domain/pricing.js';
import { USAGE_CLASSES, type UsageCounts } from '../../../../src/domain/usage.js';
import {
  joinEntries,
  RowEntries,
  type RowEntry,
  splitEntries,
  toRowEntry,
} from '../../../../src/ledger/journal/row-entry.js';
import { isSound } from '../../../../src/ledger/journal/sound-entry.js';
import { aUsage, intentOf, settlementOf } from '../../../conformance/ledger-entries.js';

const text = fc.string({ unit: 'binary', maxLength: 20 });
const textOrNull = fc.option(text);
const instant = fc.double({ min: 0, max: 1e13, noNaN: true }).map((value) => value + 0);
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const countOrNull = fc.option(count);
const amount = fc.option(fc.bigInt({ min: 0n, max: 1n << 80n }));
const counts = fc
  .tuple(...USAGE_CLASSES.map(() => countOrNull))
  .map((figures) => Object.fromEntries(USAGE_CLASSES.map((name, at) => [name, figures[at]])) as unknown as UsageCounts);

const request = fc.record({
  inferenceId: text,
  receivedAt: instant,
  client: text,
  tags: fc.dictionary(text, text, { noNullPrototype: true }),
  endpoint: text,
  task: text,
  model: text,
  region: textOrNull,
  stream: fc.boolean(),
  configGeneration: count,
});
const attemptIntent = fc.record({
  inferenceId: text,
  attempt: count,
  sentAt: instant,
  provider: text,
  providerModel: text,
  key: textOrNull,
  region: textOrNull,
  heldNanoUsd: amount,
  priceId: textOrNull,
  reservedTokens: countOrNull,
});
const attemptSettlement = fc.record({
  inferenceId: text,
  attempt: count,
  endedAt: instant,
  firstByteAt: fc.option(instant),
  outcome: fc.constantFrom('ok' as const, 'failed' as const, 'cancelled' as const, 'interrupted' as const),
  status: fc.option(fc.nat({ max: 599 })),
  errorCode: textOrNull,
  usage: fc.option(
    fc.record({
      counts,
      source: fc.constantFrom('reported' as const, 'estimated' as const, 'lower-bound' as const),
    }),
  ),
  costNanoUsd: amount,
  unpricedReason: textOrNull,
  priceId: textOrNull,
  components: fc.array(
    fc.record({ class: fc.constantFrom(...RATE_CLASSES), units: count, ratePerMillion: fc.bigInt({ min: 0n }) }),
    { maxLength: 4 },
  ),
  providerCostUsd: textOrNull,
});
const requestSettlement = fc.record({
  inferenceId: text,
  endedAt: instant,
  outcome: fc.constantFrom('ok' as const, 'failed' as const, 'refused' as const),
  status: fc.nat({ max: 599 }),
  errorCode: textOrNull,
  // What JSON cannot tell apart from another value is not used here: -0 from 0, a member without a value from none.
  decision: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))),
});
/** All its parts are about one request. */
const entry: fc.Arbitrary<LedgerEntry> = fc
  .tuple(text, fc.record({ request, attemptIntent, attemptSettlement, requestSettlement }, { requiredKeys: [] }))
  .map(([inferenceId, parts]) => {
    const named = Object.entries(parts).map(([name, part]) => [name, { ...part, inferenceId }]);
    return Object.fromEntries(named) as LedgerEntry;
  });

/** Of so few values that each is often the one before it. */
const repeatingText = fc.constantFrom('', 'chat', '"\\\\\n', '\u2028', '\ud800', '\u00e9', 'null');
const repeatingCount = fc.constantFrom(0, -0, 1, null);
const repeatingEntry: fc.Arbitrary<LedgerEntry> = fc
  .record({
    request: fc.record({ client: repeatingText, model: repeatingText, region: fc.option(repeatingText) }),
    attempt: fc.record({ provider: repeatingText, key: fc.option(repeatingText), priceId: fc.option(repeatingText) }),
    end: fc.record({
      errorCode: fc.option(repeatingText),
      priceId: fc.option(repeatingText),
      providerCostUsd: fc.option(repeatingText),
      usage: fc.record({
        counts: fc.record({ input: repeatingCount, reasoning: repeatingCount, searchUnits: repeatingCount }),
        source: fc.constantFrom('reported' as const, 'estimated' as const),
      }),
    }),
    requestEnd: fc.record({ errorCode: fc.option(repeatingText), decision: repeatingText }),
    inferenceId: repeatingText,
  })
  .map(({ request, attempt, end, requestEnd, inferenceId }) => ({
    ...intentOf(inferenceId, { request, attempt }),
    ...settlementOf(inferenceId, {
      attempt: { ...end, usage: aUsage(end.usage.counts, end.usage.source) },
      request: requestEnd,
    }),
  }));

function textsOf({ inferenceId, idText, priceText, request, attempt, attemptEnd, requestEnd }: RowEntry): unknown[] {
  return [inferenceId, idText, priceText, request?.text, attempt?.text, attemptEnd?.text, requestEnd?.text];
}

function jsonOf({ inferenceId, priceId, request, attempt, attemptEnd, requestEnd }: RowEntry): unknown[] {
  const parts = [request, attempt, attemptEnd, requestEnd].map((part) => part && JSON.stringify(part.cells));
  return [inferenceId, JSON.stringify(inferenceId), JSON.stringify(priceId), ...parts.map((text) => text ?? undefined)];
}

describe('entries as the tables take them', () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);

  it('come back from their text as they were', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
        const rows = entries.map(toRowEntry);
        expect(splitEntries(joinEntries(rows))).toEqual(rows);
      }),
      { numRuns: 500 },
    );
  });

  it('have the text that JSON gives their cells, whatever the row before them said', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(entry, repeatingEntry), { maxLength: 12 }), (entries) => {
        const rows = new RowEntries();
        for (const row of entries.map((one) => rows.make(one))) expect(textsOf(row)).toEqual(jsonOf(row));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a status that is undefined', settlementOf('a', { attempt: { status: undefined as unknown as null } })],
    ['an instant that is none', intentOf('a', { request: { receivedAt: Number.NaN } })],
    ['a key that is a number', intentOf('a', { attempt: { key: 5 as unknown as string } })],
    ['a key that is undefined', intentOf('a', { attempt: { key: undefined as unknown as string } })],
    ['an attempt without an instant', intentOf('a', { attempt: { sentAt: undefined as unknown as number } })],
    ['tokens that are text', intentOf('a', { attempt: { reservedTokens: '7' as unknown as number } })],
    ['a fraction of a token', intentOf('a', { attempt: { reservedTokens: 1e-7 } })],
  ])('have it for %s', (_, one) => {
    const row = toRowEntry(one);
    expect(textsOf(row)).toEqual(jsonOf(row));
  });

  it('are none for tokens that have no JSON', () => {
    const one = intentOf('a', { attempt: { reservedTokens: 7n as unknown as number } });
    expect(() => toRowEntry(one)).toThrow(TypeError);
  });

  it('tell a decision from one that looks like it, and know one again', () => {
    const decisions = [{ reason: 'a' }, { reason: 'b' }].flatMap((one) => [one, one, { ...one }]);
    const rows = new RowEntries();
    const made = decisions.map((decision) => rows.make(settlementOf('a', { request: { decision } })));
    expect(made.map(({ requestEnd }) => requestEnd?.cells[4])).toEqual(decisions.map((one) => JSON.stringify(one)));
  });

  it('have sound values', () => {
    fc.assert(fc.property(entry, (one) => isSound(one)));
  });

  it.each([
    ['a cycle', cycle],
    ['a bigint', [1n]],
  ])('are none for a decision with %s', (_, decision) => {
    expect(() => toRowEntry(settlementOf('a', { request: { decision } }))).toThrow(TypeError);
  });

  it('are none for parts about several requests', () => {
    expect(() => toRowEntry({ ...intentOf('a'), ...settlementOf('b') })).toThrow('an entry is about one request');
  });

  it.each([
    ['a client that is no text', intentOf('a', { request: { client: null as unknown as string } })],
    ['an instant that is none', intentOf('a', { request: { receivedAt: Number.NaN } })],
    ['a provider that is no text', intentOf('a', { attempt: { provider: 7 as unknown as string } })],
    ['an amount that is no integer', intentOf('a', { attempt: { heldNanoUsd: 1.5 as unknown as bigint } })],
    ['tokens that are a fraction', intentOf('a', { attempt: { reservedTokens: 1.5 } })],
    ['a status that is undefined', settlementOf('a', { attempt: { status: undefined as unknown as null } })],
    ['a cost that is no bigint', settlementOf('a', { attempt: { costNanoUsd: 7 as unknown as bigint } })],
    [
      'a count that is missing',
      settlementOf('a', { attempt: { usage: { counts: {} as unknown as UsageCounts, source: 'reported' } } }),
    ],
    ['an instant that no table holds', settlementOf('a', { request: { endedAt: 1e300 } })],
    ['an end at no instant', settlementOf('a', { request: { endedAt: Number.POSITIVE_INFINITY } })],
  ])('leave %s to the tables to judge', (_, one) => {
    expect(isSound(one)).toBe(false);
  });
});
