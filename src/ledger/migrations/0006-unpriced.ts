/** Finds the calls whose cost is unknown: a budget counts them as they were held, and there are few of them. */
export const unpriced = `
CREATE INDEX IF NOT EXISTS attempts_unpriced ON attempts (request_id) WHERE cost_nano_usd IS NULL AND outcome <> 'in_flight';
`;
