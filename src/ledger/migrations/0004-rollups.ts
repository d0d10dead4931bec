/**
 * Hourly totals, adjustments, and what retention leaves behind.
 *
 * A `cut` is one combination of everything a report can tell apart within an hour; `rollups` has the figures of each cut
 * and hour. Money is kept in halves (cost = high * 2^32 + low), so that no sum overflows; token sums are REAL for the same
 * reason. `marks.unchained_until` is the last request from before there was a chain: rows up to it may have no link.
 */
export const rollups = `
CREATE TABLE cuts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  client TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  task TEXT NOT NULL,
  outcome TEXT NOT NULL,
  provider TEXT,
  provider_model TEXT,
  key TEXT,
  region TEXT,
  usage_source TEXT,
  attempt_outcome TEXT,
  error_code TEXT,
  price TEXT
) STRICT;

CREATE TABLE rollups (
  cut_id INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  input REAL NOT NULL,
  cached_input REAL NOT NULL,
  cache_write REAL NOT NULL,
  output REAL NOT NULL,
  reasoning REAL NOT NULL,
  audio_input REAL NOT NULL,
  audio_output REAL NOT NULL,
  cost_high INTEGER NOT NULL,
  cost_low INTEGER NOT NULL,
  estimated_high INTEGER NOT NULL,
  estimated_low INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  PRIMARY KEY (cut_id, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX rollups_by_hour ON rollups (hour);

CREATE TABLE pruned_hours (
  hour INTEGER PRIMARY KEY,
  pruned_at INTEGER NOT NULL,
  rollups_hash TEXT NOT NULL
) STRICT;

CREATE TABLE adjustments (
  request_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  number INTEGER NOT NULL,
  made_at INTEGER NOT NULL,
  price_id TEXT NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  components TEXT,
  PRIMARY KEY (request_id, attempt, number)
) STRICT, WITHOUT ROWID;

ALTER TABLE chain ADD COLUMN adjustment INTEGER NOT NULL DEFAULT 0;

CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

INSERT INTO marks SELECT 'unchained_until', max(
  (SELECT coalesce(max(id), 0) FROM requests WHERE outcome <> 'in_flight'
    AND id NOT IN (SELECT request_id FROM chain WHERE attempt = 0)),
  (SELECT coalesce(max(request_id), 0) FROM attempts WHERE outcome <> 'in_flight'
    AND (request_id, attempt) NOT IN (SELECT request_id, attempt FROM chain)));

INSERT INTO cuts (name, client, model, endpoint, task, outcome, provider, provider_model, key, region, usage_source,
  attempt_outcome, error_code, price)
SELECT json_array(r.client, r.model, r.endpoint, r.task, r.outcome, a.provider, a.provider_model, a.key,
    coalesce(a.region, r.region), a.usage_source, a.outcome, a.error_code, a.price_id),
  r.client, r.model, r.endpoint, r.task, r.outcome, a.provider, a.provider_model, a.key, coalesce(a.region, r.region),
  a.usage_source, a.outcome, a.error_code, a.price_id
FROM requests r LEFT JOIN attempts a ON a.request_id = r.id
WHERE r.outcome <> 'in_flight' GROUP BY 1;

INSERT INTO rollups
SELECT c.id, r.received_at / 3600000,
  sum(a.attempt IS NULL OR a.attempt = r.attempts),
  count(a.attempt),
  sum((a.attempt IS NULL OR a.attempt = r.attempts) AND r.outcome IN ('failed', 'refused', 'interrupted')),
  total(a.input), total(a.cached_input), total(a.cache_write), total(a.output), total(a.reasoning),
  total(a.audio_input), total(a.audio_output),
  coalesce(sum(a.cost_nano_usd >> 32), 0),
  coalesce(sum(a.cost_nano_usd & 4294967295), 0),
  coalesce(sum(CASE WHEN a.usage_source <> 'reported' THEN a.cost_nano_usd >> 32 END), 0),
  coalesce(sum(CASE WHEN a.usage_source <> 'reported' THEN a.cost_nano_usd & 4294967295 END), 0),
  sum(CASE WHEN a.cost_nano_usd IS NULL AND a.outcome <> 'in_flight' AND NOT EXISTS (
    SELECT 1 FROM attempts later WHERE later.request_id = a.request_id AND later.attempt > a.attempt
      AND later.cost_nano_usd IS NULL AND later.outcome <> 'in_flight') THEN 1 ELSE 0 END)
FROM requests r LEFT JOIN attempts a ON a.request_id = r.id
JOIN cuts c ON c.name = json_array(r.client, r.model, r.endpoint, r.task, r.outcome, a.provider, a.provider_model, a.key,
  coalesce(a.region, r.region), a.usage_source, a.outcome, a.error_code, a.price_id)
WHERE r.outcome <> 'in_flight'
GROUP BY 1, 2;
`;
