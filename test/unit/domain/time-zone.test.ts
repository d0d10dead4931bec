import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createZonedCalendar, isTimeZone } from '../../../src/domain/time-zone.js';

const berlin = createZonedCalendar('Europe/Berlin');

describe('a zoned calendar', () => {
  it('knows the zones that Intl knows', () => {
    expect(['UTC', 'Europe/Berlin', 'Asia/Kathmandu'].map(isTimeZone)).toEqual([true, true, true]);
    expect(['', 'Mars/Olympus', 'Europe/berlin;'].map(isTimeZone)).toEqual([false, false, false]);
    expect(() => createZonedCalendar('Mars/Olympus')).toThrow(RangeError);
  });

  it('knows days of 23 and of 25 hours', () => {
    const start = (month: number, day: number) => berlin.toInstant({ year: 2026, month, day });
    expect(start(3, 30) - start(3, 29)).toBe(23 * 3_600_000);
    expect(start(10, 26) - start(10, 25)).toBe(25 * 3_600_000);
    expect(start(7, 2) - start(7, 1)).toBe(24 * 3_600_000);
  });

  it('takes the first of an hour that comes twice, and moves a time that is skipped behind the skip', () => {
    const at = (month: number, day: number) =>
      new Date(berlin.toInstant({ year: 2026, month, day, hour: 2, minute: 30 })).toISOString();
    expect(at(10, 25)).toBe('2026-10-25T00:30:00.000Z');
    expect(at(3, 29)).toBe('2026-03-29T01:30:00.000Z');
  });

  it('begins weeks on Monday, over the turn of a year too', () => {
    const week = (text: string) => berlin.label('week', Date.parse(text));
    expect(week('2027-01-01T12:00:00Z')).toBe('2026-12-28');
    expect(week('2026-12-27T22:59:59Z')).toBe('2026-12-21');
    expect(week('2026-12-27T23:00:00Z')).toBe('2026-12-28');
  });

  it('agrees with Intl on every date, and finds its way back from it', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Apia'];
    const calendars = zones.map(createZonedCalendar);
    const formats = zones.map((timeZone) => new Intl.DateTimeFormat('sv-SE', { timeZone }));
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2040, 0) }),
        fc.nat({ max: zones.length - 1 }),
        (instant, index) => {
          const calendar = calendars[index] as ReturnType<typeof createZonedCalendar>;
          const day = calendar.label('day', instant);
          expect(day).toBe((formats[index] as Intl.DateTimeFormat).format(instant));
          const [year, month, date] = day.split('-').map(Number) as [number, number, number];
          const start = calendar.toInstant({ year, month, day: date });
          expect(start).toBeLessThanOrEqual(instant);
          expect(calendar.label('day', start)).toBe(day);
          expect(calendar.label('hour', instant).startsWith(day)).toBe(true);
          expect(calendar.label('month', instant)).toBe(day.slice(0, 7));
        },
      ),
      { numRuns: 500 },
    );
  });
});
