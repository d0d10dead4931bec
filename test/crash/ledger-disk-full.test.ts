import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { intentOf, settlementOf } from '../conformance/ledger-entries.js';
import { silentLogger } from '../conformance/silent-logger.js';
import { FakeClock } from '../support/fake-clock.js';

const folder = mkdtempSync(join(tmpdir(), 'waybill-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'waybill-test', folder]).status === 0;

describe.skipIf(!mounted)('a ledger on a disk of 8 MB (skipped where no tmpfs can be mounted)', () => {
  const filler = join(folder, 'filler');
  const path = join(folder, 'waybill.db');

  /** Fills what room there is, to the last block. */
  function fill(): void {
    for (const size of [1 << 20, 1 << 16, 4096]) {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
  }

  beforeAll(() => {
    expect(mounted).toBe(true);
  });

  afterAll(() => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('refuses intents when it is full, keeps settlements, and writes them when there is room, without being told', async () => {
    const clock = new FakeClock();
    const ledger = openSqliteLedger({ path, durability: 'process', clock, logger: silentLogger });
    const open = Array.from({ length: 500 }, (_, index) => `open-${index}`);
    await Promise.all(open.map((id) => ledger.write(intentOf(id))));
    fill();

    // There may be some room left inside the files of the ledger.
    const written: string[] = [];
    let isRefused = false;
    for (let index = 0; !isRefused; index++) {
      const id = `late-${index}`;
      try {
        await ledger.write(intentOf(id, { request: { tags: { filler: 'x'.repeat(20_000) } } }));
        written.push(id);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ledger_unavailable', status: 503 });
        expect(ledger.reader().getRequest(id)).toBeNull();
        isRefused = true;
      }
    }
    expect(ledger.isWritable()).toBe(false);

    const ends = await Promise.allSettled(open.map((id) => ledger.write(settlementOf(id))));
    const refused = ends.filter(({ status }) => status === 'rejected').length;
    expect(refused).toBeGreaterThan(0);

    rmSync(filler);
    await clock.advance(5_000);
    expect(ledger.isWritable()).toBe(true);
    const reader = ledger.reader();
    for (const id of open) expect(reader.getRequest(id)).toMatchObject({ outcome: 'ok', costNanoUsd: 4_000n });
    for (const id of written) expect(reader.getRequest(id)?.outcome).toBe('in_flight');
    await ledger.write(intentOf('after'));
    await ledger.close();
  });
});

if (!mounted) rmSync(folder, { recursive: true, force: true });
