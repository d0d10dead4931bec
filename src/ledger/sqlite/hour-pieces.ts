import type { ZonedCalendar } from '../../domain/time-zone.js';
import { HOUR_MS } from './cuts.js';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const MINUTES_IN_DAY = 1_440;

/** Hours of UTC from `first` up to and without `end`, during which a time zone keeps one offset. */
export interface HourPiece {
  first: number;
  end: number;
  /** Local time minus UTC; null for an hour in which it changes. */
  offsetMinutes: number | null;
}

/** Cuts a span of hours where a time zone's offset changes. */
export function hourPieces(calendar: ZonedCalendar, first: number, end: number): HourPiece[] {
  const pieces: HourPiece[] = [];
  const add = (piece: HourPiece) => {
    const last = pieces.at(-1);
    if (last !== undefined && last.offsetMinutes === piece.offsetMinutes) last.end = piece.end;
    else pieces.push(piece);
  };
  for (let hour = first; hour < end; ) {
    const dayEnd = Math.min(end, (Math.floor(hour / 24) + 1) * 24);
    const offset = calendar.offsetAt(hour * HOUR_MS);
    // As the calendar itself has it: a day that begins and ends with one offset has it throughout.
    const isWhole = hour % 24 === 0 && offset === calendar.offsetAt(dayEnd * HOUR_MS);
    const next = isWhole ? dayEnd : hour + 1;
    const isSteady = isWhole || offset === calendar.offsetAt((hour + 1) * HOUR_MS - 1);
    add({ first: hour, end: next, offsetMinutes: isSteady ? offset / MINUTE_MS : null });
    hour = next;
  }
  return pieces;
}

/** True where every local hour of the piece is one of UTC. */
export function hasWholeHours(piece: HourPiece): boolean {
  return piece.offsetMinutes !== null && piece.offsetMinutes % 60 === 0;
}

/** The hours of a piece in which a local day begins, but not at their start. */
export function hoursOfMidnight(piece: HourPiece): number[] {
  const { offsetMinutes, first, end } = piece;
  if (offsetMinutes === null || offsetMinutes % 60 === 0) return [];
  const hours: number[] = [];
  const firstDay = Math.floor((first * 60 + offsetMinutes) / MINUTES_IN_DAY);
  for (let day = firstDay; ; day += 1) {
    const hour = Math.floor((day * MINUTES_IN_DAY - offsetMinutes) / 60);
    if (hour >= end) return hours;
    if (hour >= first) hours.push(hour);
  }
}

/** SQL: whether a UTC hour lies within one local day. A bound double would make SQLite divide with a remainder. */
export function isWithinDaySql(offsetMinutes: number): string {
  const minutes = Math.round(offsetMinutes);
  return `(t.hour * 60 + ${minutes}) / ${MINUTES_IN_DAY} = (t.hour * 60 + ${minutes} + 59) / ${MINUTES_IN_DAY}`;
}

/** SQL: the number of the local day in which a UTC hour begins. */
export function localDaySql(offsetMinutes: number): string {
  return `(t.hour * 60 + ${Math.round(offsetMinutes)}) / ${MINUTES_IN_DAY}`;
}

/** Noon of a local day as an instant: the same day by whatever offset. */
export function noonOf(day: number, offsetMinutes: number): number {
  return day * DAY_MS - offsetMinutes * MINUTE_MS + DAY_MS / 2;
}
