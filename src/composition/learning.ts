import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import type { Meter } from '../domain/metering.js';
import type { Clock, Logger } from '../domain/ports.js';
import { openCalibrationStore } from '../ledger/sqlite/calibration.js';
import { createCalibration } from '../metering/calibration.js';
import { keepCalibration } from '../metering/calibration-keeper.js';
import { createMeter } from '../metering/meter.js';

/**
 * A meter that goes on from what was learned before, and keeps what it learns in the ledger's file. The ledger is to be
 * open: it brings the file up to date.
 * @throws UserError when the file cannot be used
 */
export function openMeter(parts: { ledger: Config['storage']['ledger']; clock: Clock; logger: Logger }): {
  meter: Meter;
  close(): Promise<void>;
} {
  const { ledger, clock, logger } = parts;
  if (ledger.type !== 'sqlite') throw new UserError('storage.ledger.type: postgres is not active yet; use sqlite');
  const store = openCalibrationStore(ledger.path, () => clock.now());
  const calibration = createCalibration({ initial: store.load() });
  const keeper = keepCalibration({ calibration, store, clock, logger });
  return { meter: createMeter({ calibration, clock, logger }), close: () => keeper.close() };
}
