import Database from 'better-sqlite3';
import type { Ledger } from '../../../src/domain/ledger.js';
import { verifyLedgerFile } from '../../../src/ledger/sqlite/maintenance.js';
import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
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
} from '../../conformance/ledger-entries.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

/** Opens the ledger in a file, with a price in it, lets it be written to and closes it. */
export async function writeLedger(path: string, use: (ledger: Ledger) => Promise<void>): Promise<void> {
  const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
  await ledger.recordPrices([PRICE_1]);
  await use(ledger);
  await ledger.close();
}

/** Three requests in one hour, one in the next, of every kind. */
export const fillLedger = (path: string) =>
  writeLedger(path, async (ledger) => {
    await ledger.write(
      intentOf('a', { request: { tags: { team: 'ü' }, region: 'eu', stream: true, receivedAt: START + 0.7 } }),
    );
    await ledger.write(
      settlementOf('a', {
        attempt: { usage: aUsage({ input: 10, audioMs: 2 ** 53 - 1 }, 'estimated'), providerCostUsd: '1e-6' },
        request: { decision: { candidates: [{ reason: '"quoted"', score: 0.1 }] } },
      }),
    );
    await ledger.write({ request: aRequest({ inferenceId: 'b' }) });
    await ledger.write({ attemptIntent: anAttempt({ inferenceId: 'b', heldNanoUsd: 2n ** 62n }) });
    await ledger.write({
      attemptSettlement: anAttemptEnd({
        inferenceId: 'b',
        outcome: 'failed',
        usage: aUsage({ images: 1 }),
        costNanoUsd: null,
        unpricedReason: 'no-price',
        components: [],
      }),
      attemptIntent: anAttempt({ inferenceId: 'b', attempt: 2 }),
    });
    await Promise.all([
      ledger.write(settlementOf('b', { attempt: { attempt: 2 } })),
      ledger.write({
        request: aRequest({ inferenceId: 'c' }),
        requestSettlement: aRequestEnd({ inferenceId: 'c', outcome: 'refused', status: 429 }),
      }),
    ]);
    // A second settle and an entry that is wrong leave no link behind.
    await Promise.allSettled([
      ledger.write(settlementOf('a', { attempt: { costNanoUsd: 1n } })),
      ledger.write(intentOf('wrong', { attempt: { provider: null as unknown as string } })),
      ledger.write(settlementOf('nobody')),
    ]);
    await ledger.write(intentOf('d', { request: { receivedAt: START + 3_600_000 } }));
    await ledger.write(settlementOf('d'));
    await ledger.write(intentOf('left in flight', { request: { receivedAt: START + 3_600_000 } }));
  });

/** As another tool would. */
export function editFile(path: string, sql: string): void {
  const db = new Database(path);
  db.exec(sql);
  db.close();
}

/** What a verification finds amiss: request, attempt, problem. */
export const problemsOf = (path: string) =>
  verifyLedgerFile(path).differences.map(({ inferenceId, attempt, problem }) => `${inferenceId} ${attempt} ${problem}`);
