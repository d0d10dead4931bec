import { beforeEach, describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../../src/domain/ledger.js';
import { GroupCommit } from '../../../src/ledger/group-commit.js';
import { anAttempt, anAttemptEnd, intentOf, settlementOf } from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('GroupCommit', () => {
  let clock: FakeClock;
  let batches: LedgerEntry[][];
  /** What stands in the way of every commit; null when nothing does. */
  let obstacle: Error | null;
  let commits: GroupCommit;

  beforeEach(() => {
    clock = new FakeClock();
    batches = [];
    obstacle = null;
    commits = new GroupCommit({
      clock,
      logger: silentLogger,
      commit(entries) {
        if (obstacle !== null) throw obstacle;
        batches.push([...entries]);
        return entries.map(() => null);
      },
    });
  });

  it('writes all entries of one turn in one batch, in order', async () => {
    const entries = ['a', 'b', 'c'].map((id) => intentOf(id));
    await Promise.all(entries.map((entry) => commits.write(entry)));
    expect(batches).toEqual([entries]);
  });

  it('writes more than one transaction should hold in several', async () => {
    const writes = Array.from({ length: 4_500 }, (_, index) => commits.write(intentOf(String(index))));
    await Promise.all(writes);
    expect(batches.map(({ length }) => length)).toEqual([2_000, 2_000, 500]);
  });

  it('tells every writer when nothing can be written', async () => {
    obstacle = new Error('disk full');
    const results = await Promise.allSettled([commits.write(intentOf('a')), commits.write(settlementOf('b'))]);
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ledger_unavailable', cause: obstacle } });
    }
    expect(commits.isWritable).toBe(false);
    await commits.close();
  });

  it('keeps settlements until they can be written, and intents not', async () => {
    obstacle = new Error('disk full');
    await Promise.allSettled([commits.write(intentOf('a')), commits.write(settlementOf('b'))]);
    expect(commits.owed).toBe(1);
    obstacle = null;
    await clock.advance(5_000);
    expect(batches).toEqual([[settlementOf('b')]]);
    expect(commits.owed).toBe(0);
    expect(commits.isWritable).toBe(true);
  });

  it('keeps the settlement of an entry that also begins the next attempt, and not that attempt', async () => {
    obstacle = new Error('disk full');
    const attemptSettlement = anAttemptEnd({ inferenceId: 'a' });
    const attemptIntent = anAttempt({ inferenceId: 'a', attempt: 2 });
    await expect(commits.write({ attemptSettlement, attemptIntent })).rejects.toThrow();
    obstacle = null;
    await clock.advance(5_000);
    expect(batches).toEqual([[{ attemptSettlement }]]);
  });

  it('finds out by itself that writing works again when nobody writes', async () => {
    obstacle = new Error('disk full');
    await expect(commits.write(intentOf('a'))).rejects.toThrow();
    await clock.advance(60_000);
    expect(commits.isWritable).toBe(false);
    obstacle = null;
    await clock.advance(2_000);
    expect(commits.isWritable).toBe(true);
    expect(clock.sleeping).toBe(0);
  });

  it('writes what is owed before what comes later', async () => {
    obstacle = new Error('disk full');
    await expect(commits.write(settlementOf('a'))).rejects.toThrow();
    obstacle = null;
    await commits.write(intentOf('b'));
    expect(batches).toEqual([[settlementOf('a')], [intentOf('b')]]);
    await clock.advance(5_000);
  });

  it('tries a last time to write what is owed when it is closed', async () => {
    obstacle = new Error('disk full');
    await expect(commits.write(settlementOf('a'))).rejects.toThrow();
    obstacle = null;
    await commits.close();
    expect(batches).toEqual([[settlementOf('a')]]);
    expect(clock.sleeping).toBe(0);
  });

  it('ends, with what it could not write, when it is closed while nothing can be written', async () => {
    obstacle = new Error('disk full');
    await expect(commits.write(settlementOf('a'))).rejects.toThrow();
    await commits.close();
    expect(commits.owed).toBe(1);
    expect(clock.sleeping).toBe(0);
  });
});
