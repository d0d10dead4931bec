/**
 * The links that one transaction adds to the chain of an hour are one row: `seq` is the number of the first of them, and
 * each line of `links` is `request/attempt/adjustment hash`. `version` says how the text of a row is made that is hashed.
 *
 * A block of those from before begins with every hundredth link, and with whatever follows a gap: gaps stay gaps. All is
 * read in the order of the key, for there may be many links: nothing has to be sorted, in memory or in temporary files.
 */
export const chainBlocks = `
CREATE TABLE chain_blocks (
  hour INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  version INTEGER NOT NULL,
  links TEXT NOT NULL,
  PRIMARY KEY (hour, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO chain_blocks
SELECT hour, seq, 1, (
  SELECT group_concat(line, char(10)) FROM (
    SELECT request_id || '/' || attempt || '/' || adjustment || ' ' || hash AS line FROM chain AS link
    WHERE link.hour = block.hour AND link.seq >= block.seq AND link.seq < block.next_seq ORDER BY link.seq))
FROM (
  SELECT hour, seq, lead(seq, 1, 9223372036854775807) OVER (PARTITION BY hour ORDER BY seq) AS next_seq
  FROM chain AS first
  WHERE seq % 100 = 1 OR NOT EXISTS (SELECT 1 FROM chain AS b WHERE b.hour = first.hour AND b.seq = first.seq - 1)
) AS block;

DROP TABLE chain;
`;
