import { randomFillSync } from 'node:crypto';

/** 80 random bits an id, of which it holds 74. */
const BYTES_PER_ID = 10;
const DIGITS_PER_ID = 2 * BYTES_PER_ID;
const IDS_PER_REFILL = 256;
/** Two bits say which UUID it is, so that its first digit behind the second dash is one of these. */
const VARIANTS = '89ab';

/**
 * UUIDv7s (RFC 9562, section 5.7) of the instants that they are asked with, in epoch milliseconds. Random bytes are drawn and
 * written in hex for many at once: a call for each costs more than the rest of an id.
 */
export function createIdSource(): (at: number) => string {
  const pool = Buffer.alloc(BYTES_PER_ID * IDS_PER_REFILL);
  let random = '';
  let used = 0;
  let startOf = Number.NaN;
  let start = '';
  return (at) => {
    if (at !== startOf) {
      const time = at.toString(16).padStart(12, '0');
      start = `${time.slice(0, 8)}-${time.slice(8)}-7`;
      startOf = at;
    }
    if (used === random.length) {
      random = randomFillSync(pool).toString('hex');
      used = 0;
    }
    const from = used;
    used += DIGITS_PER_ID;
    const variant = VARIANTS[(pool[from / 2 + 1] as number) & 3];
    return `${start}${random.slice(from, from + 3)}-${variant}${random.slice(from + 4, from + 7)}-${random.slice(from + 8, used)}`;
  };
}
