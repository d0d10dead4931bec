import type { CalibrationStore } from '../domain/metering.js';
import type { Clock, Logger } from '../domain/ports.js';
import type { Calibration } from './calibration.js';

/** What was learned since is lost when the process is killed, and soon learned again. */
const SAVE_EVERY_MS = 30_000;

/**
 * Keeps what a calibration learns: every 30 seconds where there is something new, and at the end. Where it cannot be
 * written, it is logged and tried again.
 */
export function keepCalibration(parts: {
  calibration: Calibration;
  store: CalibrationStore;
  clock: Clock;
  logger: Logger;
}): { close(): Promise<void> } {
  const { calibration, store, clock, logger } = parts;
  const end = new AbortController();

  function save(): void {
    const changes = calibration.takeChanges();
    if (changes.models.length === 0 && changes.errors.length === 0) return;
    try {
      store.save(changes);
    } catch (error) {
      calibration.putBack(changes);
      logger.warn({ err: error }, 'what was learned of token counts could not be kept; it will be tried again');
    }
  }

  async function run(): Promise<void> {
    while (!end.signal.aborted) {
      try {
        await clock.sleep(SAVE_EVERY_MS, end.signal);
      } catch {
        // Told to end: what is new is saved below.
        break;
      }
      save();
    }
  }

  const running = run();
  return {
    async close() {
      end.abort();
      await running;
      save();
      store.close();
    },
  };
}
