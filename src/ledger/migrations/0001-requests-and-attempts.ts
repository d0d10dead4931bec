/**
 * The two tables in the centre and what stands around them. Times are epoch milliseconds, money is nano-USD, an unknown
 * figure is NULL. Rows are found again by their rowid, which grows with time; `inference_id` is what the outside knows.
 */
export const requestsAndAttempts = `
CREATE TABLE processes (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  pid INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;

CREATE TABLE prices (
  id TEXT PRIMARY KEY,
  origin TEXT NOT NULL,
  effective_from INTEGER NOT NULL,
  config_generation INTEGER NOT NULL,
  content TEXT NOT NULL
) STRICT;

CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  inference_id TEXT NOT NULL UNIQUE,
  received_at INTEGER NOT NULL,
  ended_at INTEGER,
  process_id INTEGER NOT NULL,
  config_generation INTEGER NOT NULL,
  client TEXT NOT NULL,
  tags TEXT,
  endpoint TEXT NOT NULL,
  task TEXT NOT NULL,
  model TEXT NOT NULL,
  region TEXT,
  stream INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER,
  error_code TEXT,
  attempts INTEGER NOT NULL,
  cost_nano_usd INTEGER,
  decision TEXT
) STRICT;

CREATE INDEX requests_by_time ON requests (received_at);
CREATE INDEX requests_in_flight ON requests (process_id) WHERE outcome = 'in_flight';

CREATE TABLE attempts (
  request_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  first_byte_at INTEGER,
  ended_at INTEGER,
  provider TEXT NOT NULL,
  provider_model TEXT NOT NULL,
  key TEXT,
  region TEXT,
  outcome TEXT NOT NULL,
  status INTEGER,
  error_code TEXT,
  held_nano_usd INTEGER,
  cost_nano_usd INTEGER,
  unpriced_reason TEXT,
  price_id TEXT,
  usage_source TEXT,
  input INTEGER,
  cached_input INTEGER,
  cache_write INTEGER,
  output INTEGER,
  reasoning INTEGER,
  audio_input INTEGER,
  audio_output INTEGER,
  images INTEGER,
  characters INTEGER,
  audio_ms INTEGER,
  search_units INTEGER,
  provider_cost_usd TEXT,
  components TEXT,
  PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_in_flight ON attempts (request_id) WHERE outcome = 'in_flight';
`;
