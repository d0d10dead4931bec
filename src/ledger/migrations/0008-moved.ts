/** The number of the last record of each process' journal that has been moved into the tables. */
export const moved = `
CREATE TABLE IF NOT EXISTS moved (process_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
`;
