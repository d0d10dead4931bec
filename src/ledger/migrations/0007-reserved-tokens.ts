/**
 * What limits on tokens held for a call: what it counts as when its usage never became known. Such calls are few, and an
 * index finds them where the others are read as hourly totals.
 */
export const reservedTokens = `
ALTER TABLE attempts ADD COLUMN reserved_tokens INTEGER;

CREATE INDEX attempts_uncertain ON attempts (request_id) WHERE outcome = 'interrupted' OR usage_source = 'lower-bound';
`;
