import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/domain/ports.js';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import {
  anAttempt,
  anAttemptEnd,
  aPriceRecord,
  aUsage,
  intentOf,
  settlementOf,
} from '../conformance/ledger-entries.js';
import { silentLogger } from '../conformance/silent-logger.js';

/**
 * Writes requests without end, as a daemon under load does, and says on stdout what the ledger has acknowledged:
 * `+ID` for an intent, `=ID COST` for a settlement. To be killed.
 */
const [path = '', prefix = ''] = process.argv.slice(2);
const clock: Clock = { now: () => Date.now(), sleep: (ms, signal) => sleep(ms, undefined, { signal }) };
const ledger = openSqliteLedger({ path, durability: 'process', clock, logger: silentLogger });
// A nano-USD a token.
await ledger.recordPrices([aPriceRecord('price-1', { input: '1000000' })]);
process.stdout.write(`opened ${ledger.recovered().length}\n`);

let next = 0;
const lanes = Array.from({ length: 32 }, async (_, lane) => {
  for (;;) {
    const id = `${prefix}-${next++}`;
    await ledger.write(intentOf(id));
    process.stdout.write(`+${id}\n`);
    // Some lanes fail over to a second attempt, some never end.
    if (lane % 8 === 1) await sleep(1_000_000);
    let attempt = 1;
    if (lane % 4 === 2) {
      attempt = 2;
      await ledger.write({
        attemptSettlement: anAttemptEnd({ inferenceId: id, outcome: 'failed', ...costing(100) }),
        attemptIntent: anAttempt({ inferenceId: id, attempt }),
      });
    }
    const cost = next;
    await ledger.write(settlementOf(id, { attempt: { attempt, ...costing(cost) } }));
    process.stdout.write(`=${id} ${attempt === 2 ? cost + 100 : cost}\n`);
  }
});
await Promise.all(lanes);

function costing(nanoUsd: number) {
  return {
    usage: aUsage({ input: nanoUsd }),
    costNanoUsd: BigInt(nanoUsd),
    components: [{ class: 'input' as const, units: nanoUsd, ratePerMillion: 1_000_000n }],
  };
}
