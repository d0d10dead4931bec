/**
 * What was learned of providers' own token counts. `estimate_errors` counts how many estimates of an hour were off by so
 * many thousandths.
 */
export const calibration = `
CREATE TABLE calibrations (
  provider TEXT NOT NULL,
  provider_model TEXT NOT NULL,
  factor REAL NOT NULL,
  weight INTEGER NOT NULL,
  average_output REAL,
  outputs INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (provider, provider_model)
) STRICT, WITHOUT ROWID;

CREATE TABLE estimate_errors (
  hour INTEGER NOT NULL,
  provider TEXT NOT NULL,
  provider_model TEXT NOT NULL,
  per_mille INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  PRIMARY KEY (hour, provider, provider_model, per_mille)
) STRICT, WITHOUT ROWID;
`;
