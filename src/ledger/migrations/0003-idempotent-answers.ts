/**
 * Answers kept for their idempotency keys. `bytes` stands in the index beside the time, so that all of them are summed
 * without reading one answer.
 */
export const idempotentAnswers = `
CREATE TABLE idempotent_answers (
  client TEXT NOT NULL,
  key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  inference_id TEXT NOT NULL,
  kept_at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  head TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (client, key)
) STRICT;

CREATE INDEX idempotent_answers_by_time ON idempotent_answers (kept_at, bytes);
`;
