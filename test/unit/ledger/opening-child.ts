import { openSqliteLedger } from '../../../src/ledger/sqlite/sqlite-ledger.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

/** Opens a ledger and stays until it is told to go, by the end of what it reads. */
const [path = ''] = process.argv.slice(2);
const ledger = openSqliteLedger({ path, durability: 'process', clock: new FakeClock(), logger: silentLogger });
process.stdout.write('opened');
process.stdin.resume().on('end', () => ledger.close());
