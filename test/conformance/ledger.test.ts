import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteLedger } from '../../src/ledger/sqlite/sqlite-ledger.js';
import { FakeClock } from '../support/fake-clock.js';
import { describeLedger } from './ledger.js';
import { silentLogger } from './silent-logger.js';

describeLedger('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-ledger-'));
  return {
    async open(processId) {
      return openSqliteLedger({
        path: join(folder, 'waybill.db'),
        durability: 'process',
        clock: new FakeClock(),
        logger: silentLogger,
        ...(processId === undefined ? {} : { processId }),
      });
    },
    async dispose() {
      rmSync(folder, { recursive: true });
    },
  };
});
