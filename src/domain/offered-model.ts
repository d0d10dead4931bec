import type { NanoUsdPerMillion } from './money.js';
import type { Task } from './task.js';

/** A name that may be asked for, and one of the targets it means. */
export interface OfferedModel {
  /** An alias or a model; `provider:*` where any model may be asked for by name. */
  id: string;
  isAlias: boolean;
  provider: string;
  /** The id the provider knows; null for any. */
  providerModel: string | null;
  tasks: readonly Task[];
  /** Null when unknown. */
  input: NanoUsdPerMillion | null;
  output: NanoUsdPerMillion | null;
  contextWindow: number | null;
  region: string | null;
  /** Why it takes no part; null when it does. */
  disabledReason: string | null;
}
