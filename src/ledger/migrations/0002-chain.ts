/**
 * A link for each row that was settled (attempt 0: the request's own), by the hour in which the request was received, so
 * that a row which something else changes, adds or deletes can be named.
 */
export const chain = `
CREATE TABLE chain (
  hour INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  request_id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (hour, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE chain_heads (
  hour INTEGER PRIMARY KEY,
  links INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT;
`;
