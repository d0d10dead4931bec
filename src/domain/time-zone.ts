/**
 * Calendar arithmetic in a named time zone, with its daylight-saving days. Instants are epoch milliseconds. Offsets come
 * from the ICU data in Node, so a zone's rules are as new as the Node that runs.
 */
export type TimeBucket = 'hour' | 'day' | 'week' | 'month';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Every offset in use is a multiple of this, so that no local hour begins within one. */
export const QUARTER_HOUR_MS = 900_000;

/** A zone's offsets and calendar. Keeps what it has looked up: make one per report, not one per row. */
export interface ZonedCalendar {
  readonly timeZone: string;
  /** Local time minus UTC at an instant, in milliseconds. */
  offsetAt(instant: number): number;
  /**
   * The name of the bucket an instant falls into: `2026-10-25T02:00+01:00`, `2026-10-25`, the Monday of its ISO week
   * (`2026-10-19`), `2026-10`. The hour carries its offset, for the hour that comes twice.
   */
  label(bucket: TimeBucket, instant: number): string;
  /** The instant of a local date and time; a time that a clock skips is taken with the offset before the skip. */
  toInstant(local: { year: number; month: number; day: number; hour?: number; minute?: number; ms?: number }): number;
}

/** True for a name that is a part of the calendar. */
export function isTimeBucket(name: string): name is TimeBucket {
  return name === 'hour' || name === 'day' || name === 'week' || name === 'month';
}

/** True for a name `Intl` knows: `Europe/Berlin`, `UTC`. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** @throws RangeError for a zone that `Intl` does not know */
export function createZonedCalendar(timeZone: string): ZonedCalendar {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    era: 'short',
  });
  const byQuarter = new Map<number, number>();

  /** Asks Intl, which takes microseconds: once a quarter hour at most. */
  function lookUp(quarter: number): number {
    const known = byQuarter.get(quarter);
    if (known !== undefined) return known;
    const instant = quarter * QUARTER_HOUR_MS;
    const parts: Record<string, string> = {};
    for (const { type, value } of format.formatToParts(instant)) parts[type] = value;
    const year = parts['era'] === 'BC' ? 1 - Number(parts['year']) : Number(parts['year']);
    const local = utc(year, Number(parts['month']), Number(parts['day']), {
      hour: Number(parts['hour']),
      minute: Number(parts['minute']),
    });
    const offset = local + Number(parts['second']) * 1000 - instant;
    byQuarter.set(quarter, offset);
    return offset;
  }

  function offsetAt(instant: number): number {
    const dayStart = Math.floor(instant / DAY_MS) * DAY_MS;
    const atStart = lookUp(dayStart / QUARTER_HOUR_MS);
    // A day that starts and ends with one offset has it throughout: two look-ups serve all of its quarters.
    if (atStart === lookUp((dayStart + DAY_MS) / QUARTER_HOUR_MS)) return atStart;
    return lookUp(Math.floor(instant / QUARTER_HOUR_MS));
  }

  function label(bucket: TimeBucket, instant: number): string {
    const offset = offsetAt(instant);
    const local = instant + offset;
    if (bucket === 'week') {
      const days = Math.floor(local / DAY_MS);
      // 1970-01-01 was a Thursday; ISO weeks begin on Monday.
      const sinceMonday = (((days + 3) % 7) + 7) % 7;
      return isoDate((days - sinceMonday) * DAY_MS);
    }
    const date = isoDate(local);
    if (bucket === 'day') return date;
    if (bucket === 'month') return date.slice(0, -3);
    const hour = Math.floor((((local % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS);
    return `${date}T${String(hour).padStart(2, '0')}:00${formatOffset(offset)}`;
  }

  return {
    timeZone,
    offsetAt,
    label,
    toInstant(local) {
      const wall = utc(local.year, local.month, local.day, local) + (local.ms ?? 0);
      const before = offsetAt(wall - DAY_MS);
      const after = offsetAt(wall + DAY_MS);
      // A time a clock shows twice: the first. A time it skips is neither, and taken with the offset before.
      if (offsetAt(wall - before) === before) return wall - before;
      return offsetAt(wall - after) === after ? wall - after : wall - before;
    },
  };
}

function utc(year: number, month: number, day: number, time: { hour?: number; minute?: number }): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getTime() + (time.hour ?? 0) * HOUR_MS + (time.minute ?? 0) * MINUTE_MS;
}

function isoDate(local: number): string {
  return new Date(local).toISOString().replace(/T.*$/, '');
}

function formatOffset(offset: number): string {
  const minutes = Math.abs(Math.trunc(offset / MINUTE_MS));
  const hh = String(Math.floor(minutes / 60)).padStart(2, '0');
  const mm = String(minutes % 60).padStart(2, '0');
  return `${offset < 0 ? '-' : '+'}${hh}:${mm}`;
}
