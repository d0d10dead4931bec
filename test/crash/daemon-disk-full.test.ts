import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import { answer, chatBody, type ErrorBody, provider, recordOf, startRouter } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

const folder = mkdtempSync(join(tmpdir(), 'waybill-full-daemon-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'waybill-test', folder]).status === 0;
const filler = join(folder, 'filler');

describe.skipIf(!mounted)('a daemon on a disk of 8 MB (skipped where no tmpfs can be mounted)', () => {
  let daemon: Daemon;
  let upstream: ScriptedUpstream;

  beforeAll(async () => {
    upstream = await startUpstream(() => answer());
    daemon = await startRouter([provider('a', upstream.url)], {
      storage: { ledger: { type: 'sqlite', path: join(folder, 'waybill.db') } },
      logging: { level: 'fatal' },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    await upstream?.close();
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = () => daemon.post('/v1/chat/completions', chatBody());

  it('sends nothing upstream without a row, and serves again by itself when there is room', {
    timeout: 60_000,
  }, async () => {
    const answered: Response[] = [];
    for (let i = 0; i < 20; i += 1) answered.push(await ask());
    for (const size of [1 << 20, 1 << 16, 4096]) {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
    // What room is left inside the ledger's own files is used up first.
    let refused: Response | null = null;
    for (let i = 0; i < 20_000 && refused === null; i += 16) {
      const round = await Promise.all(Array.from({ length: 16 }, ask));
      for (const response of round) {
        if (response.status === 200) answered.push(response);
        else refused = response;
      }
    }
    if (refused === null) expect.unreachable('the disk was never full');
    expect(refused.status).toBe(503);
    expect(((await refused.json()) as ErrorBody).error).toMatchObject({
      type: 'server_error',
      code: 'ledger_unavailable',
    });
    const asked = upstream.requests.length;
    for (let i = 0; i < 10; i += 1) expect((await ask()).status).toBe(503);
    expect(upstream.requests).toHaveLength(asked);
    expect((await fetch(`${daemon.url}/health/ready`)).status).toBe(503);

    expect(existsSync(filler)).toBe(true);
    rmSync(filler);
    await expect.poll(async () => (await fetch(`${daemon.url}/health/ready`)).status, { timeout: 15_000 }).toBe(200);
    const after = await ask();
    expect(after.status).toBe(200);
    for (const response of [...answered, after]) {
      expect(await recordOf(daemon, response)).toMatchObject({ outcome: 'ok', cost_nano_usd: 20_000 });
    }
    const { requests } = await daemon.admin<{ requests: object[] }>('/requests?status=in_flight');
    expect(requests).toEqual([]);
    // Every call the provider saw has an attempt with its cost, those whose answer could not be given too.
    const report = await daemon.admin<{ total: { attempts: number } }>('/reports/costs');
    expect(report.total.attempts).toBe(upstream.requests.length);
  });
});
