import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyLedgerFile } from '../../src/ledger/sqlite/maintenance.js';
import { openSqliteReader } from '../../src/ledger/sqlite/reader.js';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { silentLogger } from '../conformance/silent-logger.js';
import { FakeClock } from '../support/fake-clock.js';

const CHILD = fileURLToPath(new URL('./ledger-child.ts', import.meta.url));

describe('a ledger whose process is killed', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-crash-'));
    path = join(folder, 'waybill.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  /** Starts a writer and kills it once it has acknowledged `lines` lines; returns them. */
  async function writeUntilKilled(prefix: string, lines: number): Promise<string[]> {
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, path, prefix], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.split('\n').length > lines) child.kill('SIGKILL');
    });
    const [, signal] = await once(child, 'close');
    expect(signal).toBe('SIGKILL');
    // What was cut within a line was not said.
    return said.split('\n').slice(0, -1);
  }

  it('has every row it acknowledged, and ends the others as interrupted, round after round', async () => {
    const settled = new Map<string, bigint>();
    const begun = new Set<string>();
    for (const [round, lines] of [40, 700, 3_000, 90, 1_500].entries()) {
      // What the round before left is as it was written, before anybody recovers it.
      if (round > 0) expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
      for (const line of await writeUntilKilled(`r${round}`, lines)) {
        const [, id = '', cost] = /^[+=](\S+)(?: (\d+))?$/.exec(line) ?? [];
        if (line.startsWith('+')) begun.add(id);
        if (line.startsWith('=')) settled.set(id, BigInt(cost ?? ''));
      }
    }
    const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
    const reader = ledger.reader();
    try {
      expect(settled.size).toBeGreaterThan(500);
      for (const [id, cost] of settled)
        expect(reader.getRequest(id)).toMatchObject({ outcome: 'ok', costNanoUsd: cost });
      for (const id of begun) expect(['ok', 'interrupted']).toContain(reader.getRequest(id)?.outcome);
      const interrupted = reader.listRequests({ from: null, to: null, outcome: 'interrupted', limit: 1_000 }).requests;
      expect(interrupted.length).toBeGreaterThanOrEqual(5 * 4);
      for (const row of interrupted) {
        // The amount held for what was under way, after what the first attempt is known to have cost.
        expect([9_000n, 9_100n]).toContain(row.costNanoUsd);
        expect(row.usage?.source).toBe('estimated');
      }
      expect(reader.listRequests({ from: null, to: null, outcome: 'in_flight', limit: 10 }).requests).toEqual([]);
      expect(readdirSync(folder).filter((name) => name.includes('-live-'))).toHaveLength(1);
    } finally {
      await ledger.close();
    }
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });

  it('is readable without being opened for writing first', async () => {
    await writeUntilKilled('r', 200);
    const reader = openSqliteReader(path);
    expect(reader.listRequests({ from: null, to: null, limit: 1_000 }).requests.length).toBeGreaterThan(50);
    reader.close();
  });

  it('tells a reader of everything it acknowledged, to the last, before anybody recovers it', async () => {
    const lines = await writeUntilKilled('r', 1_000);
    const reader = openSqliteReader(path);
    try {
      const ended = lines.filter((line) => line.startsWith('='));
      expect(ended.length).toBeGreaterThan(100);
      for (const line of ended) {
        const [, id = '', cost = ''] = /^=(\S+) (\d+)$/.exec(line) ?? [];
        expect(reader.getRequest(id)).toMatchObject({ outcome: 'ok', costNanoUsd: BigInt(cost) });
      }
      for (const line of lines.filter((one) => one.startsWith('+'))) {
        expect(reader.getRequest(line.slice(1))).not.toBeNull();
      }
    } finally {
      reader.close();
    }
    expect(verifyLedgerFile(path)).toMatchObject({ ok: true, differences: [] });
  });
});
