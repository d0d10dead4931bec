import { addRows, emptyRow, toFigures } from '../../domain/cost-row.js';
import type { CostRow, GroupBy, LedgerReader } from '../../domain/ledger.js';
import { parseGroupBy, QueryError } from '../../domain/report.js';
import { isTimeBucket } from '../../domain/time-zone.js';
import { isoOrNull, onlyParameters, parseRange } from './range.js';
import { type AdminAnswer, orInvalidRequest } from './reports.js';

const JSON_TYPE = 'application/json; charset=utf-8';
/** Levels more than this are nobody's wish. */
const MAX_LEVELS = 6;

/** One name of one level: its own name, its figures, and the level below, if there is one. */
type Node = { [group: string]: unknown };

/**
 * `GET /stats?group_by=client,provider,model,key&start&end`: totals, and within them those of the next group. Any group of
 * a report will do; without one it is `client`. What lies within a node adds up to it.
 * @throws WaybillError invalid_request with the parameter's name
 */
export function statsAnswer(reader: LedgerReader, query: URLSearchParams): AdminAnswer {
  return orInvalidRequest(() => {
    onlyParameters(query, ['group_by', 'start', 'end']);
    const { start, end } = parseRange(query);
    const given = parseGroupBy(query.getAll('group_by'));
    const groupBy: readonly GroupBy[] = given.length === 0 ? ['client'] : given;
    if (groupBy.length > MAX_LEVELS) {
      throw new QueryError('group_by', `${groupBy.length} groups; at most ${MAX_LEVELS} can stand within each other`);
    }
    const { rows, total } = reader.summarise({ from: start, to: end, groupBy, filters: {}, timeZone: 'UTC' });
    const body = JSON.stringify({
      start: isoOrNull(start),
      end: isoOrNull(end),
      group_by: groupBy,
      stats: nest(rows, groupBy),
      total: toFigures(total),
    });
    return { status: 200, contentType: JSON_TYPE, body };
  });
}

/** Rows by their first group, and the same within; names dearest first, parts of the calendar in their order. */
function nest(rows: readonly CostRow[], [name, ...deeper]: readonly GroupBy[]): Node[] {
  if (name === undefined) return [];
  const byName = new Map<string | null, CostRow[]>();
  for (const row of rows) {
    const key = row.group[name] ?? null;
    const known = byName.get(key);
    if (known === undefined) byName.set(key, [row]);
    else known.push(row);
  }
  const nodes = [...byName].map(([key, within]) => ({ key, within, sum: within.reduce(addRows, emptyRow({})) }));
  if (!isTimeBucket(name)) nodes.sort((a, b) => compare(b.sum.costNanoUsd, a.sum.costNanoUsd));
  return nodes.map(({ key, within, sum }) => ({
    [name]: key,
    ...toFigures(sum),
    ...(deeper.length === 0 ? {} : { groups: nest(within, deeper) }),
  }));
}

function compare(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
