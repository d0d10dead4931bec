import { describe, expect, it } from 'vitest';
import {
  type AttemptFact,
  CUT_COLUMNS,
  type CutSum,
  CutSums,
  HOUR_MS,
  type RequestFact,
} from '../../../src/ledger/sqlite/cuts.js';

type Fact = [request: RequestFact, attempts: AttemptFact[]];

const request: RequestFact = {
  received_at: 5 * HOUR_MS + 1,
  client: 'client',
  model: 'model',
  endpoint: 'endpoint',
  task: 'task',
  region: 'region',
  outcome: 'ok',
};
const attempt: AttemptFact = {
  provider: 'provider',
  provider_model: 'provider model',
  key: 'key',
  region: null,
  outcome: 'ok',
  usage_source: 'reported',
  input: 1,
  cached_input: 2,
  cache_write: 3,
  output: 4,
  reasoning: 5,
  audio_input: 6,
  audio_output: 7,
  cost: 8n,
  error_code: null,
  price: 'price',
};

const one: Fact = [request, [attempt]];
/** Differs from `one` in a column of the cut. */
const others: Record<(typeof CUT_COLUMNS)[number], Fact> = {
  client: [{ ...request, client: 'other' }, [attempt]],
  model: [{ ...request, model: 'other' }, [attempt]],
  endpoint: [{ ...request, endpoint: 'other' }, [attempt]],
  task: [{ ...request, task: 'other' }, [attempt]],
  outcome: [{ ...request, outcome: 'cancelled' }, [attempt]],
  provider: [request, [{ ...attempt, provider: 'other' }]],
  provider_model: [request, [{ ...attempt, provider_model: 'other' }]],
  key: [request, [{ ...attempt, key: null }]],
  region: [request, [{ ...attempt, region: 'other' }]],
  usage_source: [request, [{ ...attempt, usage_source: 'estimated' }]],
  attempt_outcome: [request, [{ ...attempt, outcome: 'failed' }]],
  error_code: [request, [{ ...attempt, error_code: 'timeout' }]],
  price: [request, [{ ...attempt, price: null }]],
};

function sumsOf(facts: readonly Fact[]): CutSum[] {
  const sums = new CutSums();
  for (const [of, attempts] of facts) sums.add(of, attempts, 1);
  return [...sums.values()].sort((a, b) => a.hour - b.hour || (a.name < b.name ? -1 : 1));
}

describe('sums by cut', () => {
  it.each([
    ...CUT_COLUMNS.map((column): [string, Fact] => [column, others[column]]),
    ['region of the request', [{ ...request, region: 'other' }, [attempt]] as Fact],
    ['hour', [{ ...request, received_at: 6 * HOUR_MS }, [attempt]] as Fact],
    ['attempt, of which there is none', [request, []] as Fact],
  ])('are two for facts that differ in %s, in whatever order they come', (_, other) => {
    const inTurns = sumsOf([one, other, one, other, one]);
    expect(inTurns).toHaveLength(2);
    expect(inTurns.map(({ requests }) => requests).sort()).toEqual([2, 3]);
    expect(inTurns).toEqual(sumsOf([one, one, one, other, other]));
    expect(inTurns).toEqual(sumsOf([other, other, one, one, one]));
  });

  it('are one for facts that have the same cut', () => {
    const same: Fact = [
      { ...request, region: null, received_at: 6 * HOUR_MS - 1 },
      [{ ...attempt, region: 'region', input: 9, cost: null }],
    ];
    expect(sumsOf([one, same, one])).toEqual([
      expect.objectContaining({ hour: 5, requests: 3, attempts: 3, input: 11, cost: 16n, unpriced: 1 }),
    ]);
  });
});
