import { realpathSync } from 'node:fs';

/** A file of a process beside the ledger: beside the file itself, by whatever links its path leads there. */
export function besideLedger(ledgerPath: string, kind: 'live' | 'entries', processName: string): string {
  return `${realpathSync(ledgerPath)}-${kind}-${processName}`;
}
