import { describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../../src/domain/ledger.js';
import { toRowEntry } from '../../../src/ledger/journal/row-entry.js';
import { byRequest, toWhole } from '../../../src/ledger/sqlite/whole-requests.js';
import {
  anAttempt,
  anAttemptEnd,
  aRequest,
  aRequestEnd,
  intentOf,
  settlementOf,
} from '../../conformance/ledger-entries.js';

const request = aRequest({ inferenceId: 'a' });
const requestSettlement = aRequestEnd({ inferenceId: 'a' });
const begun = (attempt: number) => anAttempt({ inferenceId: 'a', attempt });
const ended = (attempt: number) => anAttemptEnd({ inferenceId: 'a', attempt });

const whole = (...entries: LedgerEntry[]) => toWhole(entries.map(toRowEntry));

describe('a whole request', () => {
  it.each<[string, number[], LedgerEntry[]]>([
    ['one attempt', [1], [intentOf('a'), settlementOf('a')]],
    [
      'a retry',
      [1, 2],
      [
        intentOf('a'),
        { attemptSettlement: ended(1), attemptIntent: begun(2) },
        { attemptSettlement: ended(2), requestSettlement },
      ],
    ],
    [
      'every step by itself',
      [1],
      [{ request }, { attemptIntent: begun(1) }, { attemptSettlement: ended(1) }, { requestSettlement }],
    ],
    ['no attempt', [], [{ request, requestSettlement }]],
  ])('is told by entries of %s', (_, attempts, entries) => {
    const made = whole(...entries);
    expect(made?.attempts.map(({ begin }) => begin.cells[0])).toEqual(attempts);
    expect(made?.request.cells[0]).toBe('a');
    expect(made?.end.cells[1]).toBe('ok');
  });

  it.each<[string, LedgerEntry[]]>([
    ['nothing', []],
    ['no beginning', [{ attemptIntent: begun(1) }, settlementOf('a')]],
    ['no end', [intentOf('a'), { attemptSettlement: ended(1) }]],
    ['an attempt that has not ended', [intentOf('a'), { requestSettlement }]],
    ['a beginning told twice', [intentOf('a'), { request }, settlementOf('a')]],
    ['an end told twice', [intentOf('a'), settlementOf('a'), { requestSettlement }]],
    ['something behind the end', [intentOf('a'), { requestSettlement }, { attemptSettlement: ended(1) }]],
    ['an attempt behind the end', [intentOf('a'), settlementOf('a'), { attemptIntent: begun(2) }]],
    [
      'attempts out of order',
      [
        { request, attemptIntent: begun(2) },
        { attemptSettlement: ended(2), attemptIntent: begun(1) },
        { attemptSettlement: ended(1), requestSettlement },
      ],
    ],
    [
      'no first attempt',
      [
        { request, attemptIntent: begun(2) },
        { attemptSettlement: ended(2), requestSettlement },
      ],
    ],
    [
      'an attempt told twice',
      [
        intentOf('a'),
        { attemptSettlement: ended(1), attemptIntent: begun(1) },
        { attemptSettlement: ended(1), requestSettlement },
      ],
    ],
    ["an attempt's end told twice", [intentOf('a'), { attemptSettlement: ended(1) }, settlementOf('a')]],
    [
      'ends out of order',
      [
        intentOf('a'),
        { attemptIntent: begun(2) },
        { attemptSettlement: ended(2) },
        { attemptSettlement: ended(1), requestSettlement },
      ],
    ],
    [
      'an end before its beginning',
      [{ request, attemptSettlement: ended(1) }, { attemptIntent: begun(1) }, { requestSettlement }],
    ],
    ['the end before the beginning', [settlementOf('a'), intentOf('a')]],
  ])('is not made of %s', (_, entries) => {
    expect(whole(...entries)).toBeNull();
  });

  it('is found among those of others, in the order in which they began', () => {
    const entries = [intentOf('b'), intentOf('a'), settlementOf('b'), settlementOf('a')].map(toRowEntry);
    const found = [...byRequest(entries)];
    expect(found.map(([id]) => id)).toEqual(['b', 'a']);
    expect(found.map(([, ofOne]) => toWhole(ofOne)?.request.cells[0])).toEqual(['b', 'a']);
  });
});
