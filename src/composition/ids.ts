import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const BYTES_PER_ID = 16;
const IDS_PER_REFILL = 256;

/** UUIDv7s. Random bytes are drawn for many at once: a call to the generator costs more than the rest of an id. */
export function createIdSource(): () => string {
  const pool = new Uint8Array(BYTES_PER_ID * IDS_PER_REFILL);
  let used = pool.length;
  const rng = () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += BYTES_PER_ID;
    return pool.subarray(used - BYTES_PER_ID, used);
  };
  return () => v7({ rng });
}
