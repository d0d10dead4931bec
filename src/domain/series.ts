/** Steps of time in a range; instants are epoch milliseconds, `from` is included, `to` is not. */
export interface SeriesQuery {
  from: number;
  to: number;
  /** Steps begin at its multiples since the epoch, so the first may hold less than a whole one. */
  stepMs: number;
  /** Column → accepted values, as in a cost query, without parts of the calendar. */
  filters: Readonly<Record<string, readonly string[]>>;
}

/** Times of requests that ended, in milliseconds to two digits; null where there is none. */
export interface LatencyFigures {
  requests: number;
  averageMs: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  maxMs: number | null;
  firstByteP50Ms: number | null;
  firstByteP95Ms: number | null;
}

export interface LatencyPoint extends LatencyFigures {
  at: number;
}
