import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CostQuery, Ledger } from '../../src/domain/ledger.js';
import { noCounts } from '../../src/domain/usage.js';
import {
  anAttempt,
  anAttemptEnd,
  aRequest,
  aRequestEnd,
  aUsage,
  intentOf,
  PRICE_1,
  START,
  settlementOf,
} from './ledger-entries.js';

/** One store that may be opened several times, as by several processes. */
export interface LedgerStore {
  /** The same name twice is the same process, started again. */
  open(processId?: string): Promise<Ledger>;
  /** Removes what it left, ledgers closed. */
  dispose(): Promise<void>;
}

const EVERYTHING: CostQuery = { from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' };

/** What every ledger promises. */
export function describeLedger(name: string, createStore: () => Promise<LedgerStore>): void {
  describe(`${name} as a ledger`, () => {
    let store: LedgerStore;
    const opened: Ledger[] = [];

    async function open(processId?: string): Promise<Ledger> {
      const ledger = await store.open(processId);
      opened.push(ledger);
      return ledger;
    }

    beforeEach(async () => {
      store = await createStore();
    });

    afterEach(async () => {
      for (const ledger of opened.splice(0)) await ledger.close();
      await store.dispose();
    });

    it('shows a row to other readers by the time its write resolves', async () => {
      const ledger = await open();
      const reader = (await open('other')).reader();
      await ledger.write(intentOf('a'));
      expect(reader.getRequest('a')).toMatchObject({
        outcome: 'in_flight',
        status: null,
        costNanoUsd: null,
        latencyMs: null,
      });
      expect(reader.getRequest('a')?.attemptRows[0]).toMatchObject({
        outcome: 'in_flight',
        heldNanoUsd: 9_000n,
        usage: null,
      });
      await ledger.write(settlementOf('a'));
      expect(reader.getRequest('a')).toMatchObject({ outcome: 'ok', status: 200, costNanoUsd: 4_000n });
    });

    it('gives back everything that was written', async () => {
      const ledger = await open();
      const counts = {
        input: 1,
        cachedInput: 2,
        cacheWrite: 3,
        output: 4,
        reasoning: 5,
        audioInput: 6,
        audioOutput: 7,
        images: 8,
        characters: 9,
        audioMs: 10,
        searchUnits: 11,
      };
      await ledger.recordPrices([
        { id: 'price-1', origin: 'config:x', effectiveFrom: START, configGeneration: 3, content: '{"input":"1"}' },
      ]);
      await ledger.write(
        intentOf('a', {
          request: { tags: { team: 'a', env: 'prod' }, region: 'eu', stream: true, configGeneration: 3 },
          attempt: { region: 'eu-west' },
        }),
      );
      const components = [
        { class: 'output' as const, units: 4, ratePerMillion: 123_456_789_012_345_678n },
        { class: 'request' as const, units: 1, ratePerMillion: 5n },
      ];
      const decision = { candidates: [{ provider: 'hf', score: 0.5 }], excluded: [] };
      await ledger.write(
        settlementOf('a', {
          attempt: {
            usage: { counts, source: 'lower-bound' },
            components,
            providerCostUsd: '0.000004',
            errorCode: 'x',
          },
          request: { decision, errorCode: 'y', status: 499, outcome: 'cancelled' },
        }),
      );
      expect(ledger.reader().getRequest('a')).toEqual({
        inferenceId: 'a',
        receivedAt: START,
        client: 'team-a',
        tags: { team: 'a', env: 'prod' },
        endpoint: '/v1/chat/completions',
        task: 'chat',
        model: 'llama',
        provider: 'hf',
        providerModel: 'meta-llama/Llama-3.1-8B-Instruct',
        region: 'eu-west',
        stream: true,
        outcome: 'cancelled',
        status: 499,
        errorCode: 'y',
        usage: { counts, source: 'lower-bound' },
        costNanoUsd: 4_000n,
        priceId: 'price-1',
        attempts: 1,
        cacheHit: false,
        latencyMs: 60,
        firstByteMs: 20,
        configGeneration: 3,
        decision,
        adjustments: [],
        prices: [
          { id: 'price-1', origin: 'config:x', effectiveFrom: START, configGeneration: 3, content: '{"input":"1"}' },
        ],
        attemptRows: [
          {
            attempt: 1,
            provider: 'hf',
            providerModel: 'meta-llama/Llama-3.1-8B-Instruct',
            key: 'hf-0123456789ab',
            region: 'eu-west',
            outcome: 'ok',
            status: 200,
            errorCode: 'x',
            sentAt: START + 1,
            firstByteAt: START + 20,
            endedAt: START + 50,
            usage: { counts, source: 'lower-bound' },
            heldNanoUsd: 9_000n,
            costNanoUsd: 4_000n,
            unpricedReason: null,
            priceId: 'price-1',
            providerCostUsd: '0.000004',
            components,
          },
        ],
      });
    });

    it('keeps unknown apart from zero', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a'));
      await ledger.write(
        settlementOf('a', { attempt: { usage: aUsage({ input: 0 }), costNanoUsd: null, unpricedReason: 'no-price' } }),
      );
      const row = ledger.reader().getRequest('a');
      expect(row?.usage?.counts).toEqual({ ...noCounts(), input: 0 });
      expect(row?.costNanoUsd).toBeNull();
      expect(row?.attemptRows[0]?.unpricedReason).toBe('no-price');
    });

    it('takes a second settle of the same attempt or request for nothing', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a'));
      await ledger.write(settlementOf('a'));
      const first = ledger.reader().getRequest('a');
      await ledger.write(
        settlementOf('a', {
          attempt: { costNanoUsd: 77n, outcome: 'failed' },
          request: { outcome: 'failed', status: 500 },
        }),
      );
      expect(ledger.reader().getRequest('a')).toEqual(first);
      expect(ledger.reader().summarise(EVERYTHING).total.costNanoUsd).toBe(4_000n);
    });

    it('takes the same intent twice for one', async () => {
      const ledger = await open();
      await Promise.all([ledger.write(intentOf('a')), ledger.write(intentOf('a'))]);
      await ledger.write(intentOf('a', { request: { client: 'other' } }));
      expect(ledger.reader().listRequests({ from: null, to: null, limit: 10 }).requests).toHaveLength(1);
      expect(ledger.reader().getRequest('a')?.client).toBe('team-a');
    });

    it('settles in one batch what was intended later in that batch', async () => {
      const ledger = await open();
      await Promise.all([ledger.write(settlementOf('a')), ledger.write(intentOf('a'))]);
      expect(ledger.reader().getRequest('a')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    });

    it('turns down one wrong entry and writes the others of its batch', async () => {
      const ledger = await open();
      await ledger.write(intentOf('b'));
      const wrong = intentOf('wrong', { request: { client: null as unknown as string } });
      const results = await Promise.allSettled([
        ledger.write(intentOf('a')),
        ledger.write(wrong),
        ledger.write(settlementOf('never-intended')),
        ledger.write(settlementOf('b')),
      ]);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({ reason: { code: 'internal_error' } });
      expect(ledger.isWritable()).toBe(true);
      expect(ledger.reader().getRequest('wrong')).toBeNull();
      expect(ledger.reader().getRequest('a')?.attempts).toBe(1);
      expect(ledger.reader().getRequest('b')?.outcome).toBe('ok');
    });

    it('writes nothing of an entry that is half wrong', async () => {
      const ledger = await open();
      const half = intentOf('a', { attempt: { provider: null as unknown as string } });
      await expect(ledger.write(half)).rejects.toMatchObject({ code: 'internal_error' });
      expect(ledger.reader().getRequest('a')).toBeNull();
      await ledger.write(intentOf('a'));
      await ledger.write(settlementOf('a'));
      expect(ledger.reader().getRequest('a')?.outcome).toBe('ok');
    });

    it('adds up the attempts of a request: the cost of each, the usage of all, as sure as the least sure', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a', { attempt: { provider: 'first' } }));
      await ledger.write({
        attemptSettlement: anAttemptEnd({
          inferenceId: 'a',
          outcome: 'failed',
          status: 500,
          usage: aUsage({ input: 7 }, 'lower-bound'),
          costNanoUsd: 700n,
        }),
        attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2, provider: 'second' }),
      });
      await ledger.write(settlementOf('a', { attempt: { attempt: 2, firstByteAt: START + 30 } }));
      expect(ledger.reader().getRequest('a')).toMatchObject({
        provider: 'second',
        attempts: 2,
        costNanoUsd: 4_700n,
        firstByteMs: 30,
        usage: { source: 'lower-bound', counts: { input: 17, output: 5, reasoning: null } },
      });
    });

    it('does not call a cost known while that of one attempt is not', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a'));
      await ledger.write({
        attemptSettlement: anAttemptEnd({ inferenceId: 'a', costNanoUsd: null, unpricedReason: 'no-price' }),
        attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2 }),
      });
      await ledger.write(settlementOf('a', { attempt: { attempt: 2 } }));
      expect(ledger.reader().getRequest('a')?.costNanoUsd).toBeNull();
      expect(ledger.reader().summarise(EVERYTHING).total).toMatchObject({ costNanoUsd: 4_000n, unpricedRequests: 1 });
    });

    it('records a refused request, for which nothing was sent, at no cost', async () => {
      const ledger = await open();
      await ledger.write({
        request: aRequest({ inferenceId: 'a' }),
        requestSettlement: aRequestEnd({
          inferenceId: 'a',
          outcome: 'refused',
          status: 429,
          errorCode: 'rate_limit_exceeded',
        }),
      });
      expect(ledger.reader().getRequest('a')).toMatchObject({
        outcome: 'refused',
        attempts: 0,
        provider: null,
        usage: null,
        costNanoUsd: 0n,
        errorCode: 'rate_limit_exceeded',
      });
    });

    it('records a request that was answered from the cache by the mark in its decision', async () => {
      const ledger = await open();
      const end = { outcome: 'ok' as const, status: 200, errorCode: null };
      const decisions = {
        hit: { cache_hit: { inference_id: 'miss', provider: 'hf', model: 'm' }, candidates: [], excluded: [] },
        // A name that looks like the mark is none.
        miss: { candidates: [{ provider: 'hf', model: '"cache_hit"', score: null }], excluded: [] },
      };
      for (const [inferenceId, decision] of Object.entries(decisions)) {
        const requestSettlement = aRequestEnd({ inferenceId, ...end, decision });
        await ledger.write({ request: aRequest({ inferenceId }), requestSettlement });
      }
      const reader = ledger.reader();
      expect(reader.getRequest('hit')).toMatchObject({
        cacheHit: true,
        attempts: 0,
        costNanoUsd: 0n,
        decision: decisions.hit,
      });
      const { requests } = reader.listRequests({ from: null, to: null, limit: 10 });
      expect(Object.fromEntries(requests.map((row) => [row.inferenceId, row.cacheHit]))).toEqual({
        hit: true,
        miss: false,
      });
      expect(reader.summarise(EVERYTHING).total).toMatchObject({
        requests: 2,
        attempts: 0,
        errors: 0,
        costNanoUsd: 0n,
      });
      expect(await ledger.verify()).toMatchObject({ ok: true, differences: [] });
    });

    it('keeps amounts beyond 2^53 exact, and sums beyond 2^63', async () => {
      const ledger = await open();
      const huge = 2n ** 63n - 1n;
      for (const id of ['a', 'b', 'c']) {
        await ledger.write(intentOf(id, { attempt: { heldNanoUsd: huge } }));
        await ledger.write(settlementOf(id, { attempt: { costNanoUsd: huge } }));
      }
      expect(ledger.reader().getRequest('a')).toMatchObject({
        costNanoUsd: huge,
        attemptRows: [{ heldNanoUsd: huge }],
      });
      expect(ledger.reader().summarise(EVERYTHING).total.costNanoUsd).toBe(3n * huge);
      const { requests } = ledger.reader().listRequests({ from: null, to: null, limit: 10, minCostNanoUsd: huge });
      expect(requests).toHaveLength(3);
    });

    it('records a cost too large for it as unknown, and says why', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a'));
      await ledger.write(settlementOf('a', { attempt: { costNanoUsd: 2n ** 63n } }));
      expect(ledger.reader().getRequest('a')).toMatchObject({
        outcome: 'ok',
        costNanoUsd: null,
        attemptRows: [{ unpricedReason: 'too-large' }],
      });
    });

    it('ends what a dead process left in flight: at the amount held, as an estimate, and lists it', async () => {
      const first = await open('one');
      await first.write(intentOf('sent'));
      await first.write(intentOf('unpriced', { attempt: { heldNanoUsd: null } }));
      await first.write({ request: aRequest({ inferenceId: 'unsent' }) });
      await first.write(intentOf('done'));
      await first.write(settlementOf('done'));
      await first.close();

      const second = await open('two');
      expect(second.recovered()).toEqual([
        { inferenceId: 'sent', provider: 'hf', costNanoUsd: 9_000n },
        { inferenceId: 'unpriced', provider: 'hf', costNanoUsd: null },
        { inferenceId: 'unsent', provider: null, costNanoUsd: 0n },
      ]);
      const reader = second.reader();
      expect(reader.getRequest('sent')).toMatchObject({
        outcome: 'interrupted',
        status: null,
        costNanoUsd: 9_000n,
        usage: { source: 'estimated', counts: noCounts() },
        attemptRows: [{ outcome: 'interrupted', costNanoUsd: 9_000n }],
      });
      expect(reader.getRequest('unsent')).toMatchObject({ outcome: 'interrupted', costNanoUsd: 0n, attempts: 0 });
      expect(reader.getRequest('done')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
      expect(reader.summarise(EVERYTHING).total).toMatchObject({ costNanoUsd: 13_000n, estimatedCostNanoUsd: 9_000n });

      expect((await open('three')).recovered()).toEqual([]);
    });

    it('recovers the rows of its own previous life', async () => {
      const first = await open('same');
      await first.write(intentOf('a'));
      await first.close();
      expect((await open('same')).recovered()).toMatchObject([{ inferenceId: 'a' }]);
    });

    it('leaves alone what a process that lives has in flight', async () => {
      const living = await open('living');
      await living.write(intentOf('a'));
      const other = await open('other');
      expect(other.recovered()).toEqual([]);
      expect(other.reader().getRequest('a')?.outcome).toBe('in_flight');
      await living.write(settlementOf('a'));
      expect(other.reader().getRequest('a')).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    });

    it('keeps the first version of a price under its id', async () => {
      const ledger = await open();
      const price = { id: 'price-1', origin: 'config:a', effectiveFrom: START, configGeneration: 1, content: '{}' };
      await ledger.recordPrices([price]);
      await ledger.recordPrices([
        { ...price, origin: 'config:b' },
        { ...price, id: 'price-2' },
      ]);
      await ledger.write(intentOf('a'));
      expect(ledger.reader().getRequest('a')?.prices).toEqual([price]);
    });

    it('lists newest first, page by page, undisturbed by what arrives meanwhile', async () => {
      const ledger = await open();
      for (let index = 0; index < 7; index++) {
        // Pairs share an instant.
        await ledger.write(intentOf(`r${index}`, { request: { receivedAt: START + Math.floor(index / 2) } }));
      }
      const reader = ledger.reader();
      const query = { from: null, to: null, limit: 3 };
      const first = reader.listRequests(query);
      await ledger.write(intentOf('late', { request: { receivedAt: START + 99 } }));
      const second = reader.listRequests({ ...query, cursor: first.nextCursor as string });
      const third = reader.listRequests({ ...query, cursor: second.nextCursor as string });
      const ids = [first, second, third].flatMap(({ requests }) => requests.map(({ inferenceId }) => inferenceId));
      expect(ids).toEqual(['r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0']);
      expect(third.nextCursor).toBeNull();
      expect(() => reader.listRequests({ ...query, cursor: 'nonsense' })).toThrow(/cursor/);
    });

    it('lists by client, last provider, model, outcome, cost and time', async () => {
      const ledger = await open();
      await ledger.write(intentOf('a', { request: { client: 'x', receivedAt: START } }));
      await ledger.write(
        intentOf('b', { request: { model: 'gpt', receivedAt: START + 1 }, attempt: { provider: 'openai' } }),
      );
      await ledger.write(settlementOf('b', { attempt: { costNanoUsd: 5_000n } }));
      await ledger.write({ request: aRequest({ inferenceId: 'c', receivedAt: START + 2 }) });
      const list = (filter: object) =>
        ledger
          .reader()
          .listRequests({ from: null, to: null, limit: 10, ...filter })
          .requests.map(({ inferenceId }) => inferenceId);
      expect(list({ client: 'x' })).toEqual(['a']);
      expect(list({ provider: 'openai' })).toEqual(['b']);
      expect(list({ model: 'llama' })).toEqual(['c', 'a']);
      expect(list({ outcome: 'in_flight' })).toEqual(['c', 'a']);
      expect(list({ minCostNanoUsd: 5_000n })).toEqual(['b']);
      expect(list({ minCostNanoUsd: 5_001n })).toEqual([]);
      expect(list({ from: START + 1, to: START + 2 })).toEqual(['b']);
    });

    it('finds itself as it was written, recovered rows included, whoever asks and however many', async () => {
      const first = await open('one');
      await first.recordPrices([PRICE_1]);
      await first.write(intentOf('done'));
      await first.write(settlementOf('done'));
      await first.write(intentOf('left'));
      await first.close();
      const second = await open('two');
      const results = await Promise.all([second.verify(), second.verify()]);
      for (const result of results) expect(result).toEqual({ ok: true, checked: 4, differences: [] });
      expect((await second.verify()).ok).toBe(true);
    });

    it('refuses an attempt for a request that has ended, and counts an end that comes late', async () => {
      const ledger = await open();
      await ledger.recordPrices([PRICE_1]);
      await ledger.write(intentOf('a'));
      await ledger.write({ requestSettlement: aRequestEnd({ inferenceId: 'a', outcome: 'cancelled', status: 499 }) });
      expect(ledger.reader().summarise(EVERYTHING).total).toMatchObject({ requests: 1, attempts: 1, costNanoUsd: 0n });
      await expect(ledger.write({ attemptIntent: anAttempt({ inferenceId: 'a', attempt: 2 }) })).rejects.toMatchObject({
        code: 'internal_error',
      });
      await ledger.write({ attemptSettlement: anAttemptEnd({ inferenceId: 'a', endedAt: START + 99 }) });
      expect(ledger.reader().summarise(EVERYTHING).total).toMatchObject({
        requests: 1,
        attempts: 1,
        costNanoUsd: 4_000n,
        inputTokens: 10,
      });
      expect(await ledger.verify()).toMatchObject({ ok: true, differences: [] });
    });

    it('refuses writes once closed, and closing again does nothing', async () => {
      const ledger = await open();
      const last = ledger.write(intentOf('a'));
      await ledger.close();
      await last;
      await ledger.close();
      expect(ledger.isWritable()).toBe(false);
      await expect(ledger.write(intentOf('b'))).rejects.toMatchObject({ code: 'ledger_unavailable' });
    });
  });
}
