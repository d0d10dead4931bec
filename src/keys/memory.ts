/** What is remembered of a key from call to call. */
export interface KeyRecord {
  /** Epoch milliseconds until which it is left alone; 0 when it is not. */
  until: number;
  isDisabled: boolean;
  /** 429s without a `retry-after` since the last success: each doubles the back-off. */
  refusals: number;
  reason: string | null;
}

/** Records by key id. One for the life of the process, handed to every pool, so that cooldowns survive a reload. */
export type KeyMemory = Map<string, KeyRecord>;

export function createKeyMemory(): KeyMemory {
  return new Map();
}

/** Drops what is known of keys that are not in the config any more. */
export function forgetKeys(memory: KeyMemory, keep: ReadonlySet<string>): void {
  for (const id of memory.keys()) {
    if (!keep.has(id)) memory.delete(id);
  }
}

/** A reload gives disabled keys another chance: bad keys and those out of credit stay out until a reload or for an hour. */
export function forgiveDisabled(memory: KeyMemory): void {
  for (const [id, record] of memory) {
    if (record.isDisabled) memory.delete(id);
  }
}
