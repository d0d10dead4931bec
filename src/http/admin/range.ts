import { checkRange, parseInstant, QueryError } from '../../domain/report.js';
import { createZonedCalendar } from '../../domain/time-zone.js';

/**
 * `start` and `end`: ISO dates and times (UTC where they name no offset) or unix seconds; null where absent. `start` is
 * included, `end` is not.
 * @throws QueryError naming the parameter
 */
export function parseRange(query: URLSearchParams): { start: number | null; end: number | null } {
  const calendar = createZonedCalendar('UTC');
  const start = parseInstant(query.get('start') ?? undefined, 'start', calendar);
  const end = parseInstant(query.get('end') ?? undefined, 'end', calendar);
  checkRange(start, end, { from: 'start', to: 'end' });
  return { start, end };
}

/** @throws QueryError for a parameter that is not among these */
export function onlyParameters(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name)) throw new QueryError(name, `unknown parameter "${name}"; known: ${known.join(', ')}`);
  }
}

export function isoOrNull(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}
