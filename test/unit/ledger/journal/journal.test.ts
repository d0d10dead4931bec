import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, readJournal } from '../../../../src/ledger/journal/journal.js';

describe('a journal', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-journal-'));
    path = join(folder, 'entries');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function withJournal(use: (journal: Journal) => void, { lastSeq = 0, isSynced = false } = {}): void {
    const journal = new Journal({ path, mode: 0o600, lastSeq, isSynced });
    try {
      use(journal);
    } finally {
      journal.close();
    }
  }

  it.each([false, true])('gives back what was appended, numbered on from the last (synced: %s)', (isSynced) => {
    withJournal(
      (journal) => {
        expect(journal.append('one')).toBe(42);
        expect(journal.append('zwei ☂ 🚚')).toBe(43);
      },
      { lastSeq: 41, isSynced },
    );
    expect(readJournal(path)).toEqual([
      { seq: 42, version: 2, text: 'one' },
      { seq: 43, version: 2, text: 'zwei ☂ 🚚' },
    ]);
  });

  it('of a former version is read, and told from one of this', () => {
    withJournal((journal) => {
      journal.append('one');
      journal.append('two');
    });
    const text = readFileSync(path, 'latin1').replaceAll('WBJ2', 'WBJ1');
    writeFileSync(path, text, 'latin1');
    expect(readJournal(path)).toEqual([
      { seq: 1, version: 1, text: 'one' },
      { seq: 2, version: 1, text: 'two' },
    ]);
    writeFileSync(path, text.replaceAll('WBJ1', 'WBJ3'), 'latin1');
    expect(readJournal(path)).toEqual([]);
  });

  it('is empty where there is no file', () => {
    expect(readJournal(path)).toEqual([]);
  });

  it('is written over from the start once it is cleared, and does not grow', () => {
    withJournal((journal) => {
      journal.append('x'.repeat(5_000));
      const { size } = statSync(path);
      for (let round = 0; round < 100; round += 1) {
        journal.clear();
        journal.append('y'.repeat(4_000));
      }
      expect(statSync(path).size).toBe(size);
    });
    expect(readJournal(path)).toEqual([{ seq: 101, version: 2, text: 'y'.repeat(4_000) }]);
  });

  it('does not take older records, which begin where a newer one ends, for what follows it', () => {
    withJournal((journal) => {
      for (const text of ['aaaa', 'bbbb', 'cccc']) journal.append(text);
      journal.clear();
      journal.append('dddd');
    });
    expect(readJournal(path)).toEqual([{ seq: 4, version: 2, text: 'dddd' }]);
  });

  it('ends before the first record that is not whole, wherever it was cut', () => {
    withJournal((journal) => {
      journal.append('the first');
      journal.append('the second');
    });
    const whole = readFileSync(path);
    const first = readJournal(path).slice(0, 1);
    const end = whole.indexOf('WBJ2', 1);
    for (let size = 0; size < whole.length; size += 1) {
      writeFileSync(path, whole);
      truncateSync(path, size);
      expect(readJournal(path), `cut after ${size} bytes`).toEqual(size < end ? [] : first);
    }
  });

  it('gives back no record of which a byte was changed', () => {
    withJournal((journal) => {
      journal.append('the only one');
    });
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] as number) ^ 1;
      writeFileSync(path, changed);
      expect(readJournal(path), `byte ${at}`).toEqual([]);
    }
  });

  it('forgets a record that could not be written whole, and never gives its number to another', () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'waybill-test', small]).status === 0;
    if (!isMounted) expect.unreachable('no tmpfs can be mounted here');
    path = join(small, 'entries');
    try {
      withJournal((journal) => {
        expect(journal.append('fits')).toBe(1);
        expect(() => journal.append('x'.repeat(100_000))).toThrow(/ENOSPC/);
        expect(readJournal(path)).toEqual([{ seq: 1, version: 2, text: 'fits' }]);
        expect(journal.append('fits too')).toBe(3);
      });
      expect(readJournal(path).map(({ seq }) => seq)).toEqual([1, 3]);
    } finally {
      spawnSync('umount', ['-l', small]);
    }
  });

  it('gives back everything since it was cleared, whatever was in it before', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 6 }), (rounds) => {
        withJournal((journal) => {
          let seq = 0;
          for (const round of rounds) {
            journal.clear();
            const appended = round.map((text) => ({ seq: journal.append(text), version: 2, text }));
            const read = readJournal(path).filter((record) => record.seq > seq);
            expect(read).toEqual(appended);
            seq = appended.at(-1)?.seq ?? seq;
          }
        });
      }),
      { numRuns: 200 },
    );
  });
});
