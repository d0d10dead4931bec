import type { Verdict } from './failure.js';
import type { LimitScope, LimitSettings } from './limit.js';
import type { Price } from './pricing.js';
import type { Secret } from './secret.js';

/** A provider key as the config gives it. */
export interface ProviderKey {
  /** Fingerprint: the first 12 hex digits of SHA-256, prefixed by the provider's id. Rows, logs and state know it by this. */
  id: string;
  secret: Secret;
  weight: number;
  limits: LimitSettings;
  /** Its limits under their id, where whoever built it has made them: calls would each make them anew. */
  scope?: LimitScope;
}

/** What a call with the key counts against. */
export function scopeOfKey({ id, limits }: Pick<ProviderKey, 'id' | 'limits'>): LimitScope {
  return { id: `key:${id}`, settings: limits };
}

export interface KeyState {
  id: string;
  state: 'ready' | 'cooling' | 'disabled';
  /** Epoch milliseconds until which it is left alone; null when ready. */
  until: number | null;
  reason: string | null;
}

/** The keys of one provider entry: which may be used now, in which order, and which are left alone until when. */
/** The key whose turn it is, and all others in their order, listed only when somebody needs them. */
export interface KeyTurn {
  first: ProviderKey;
  others(): readonly ProviderKey[];
}

export interface KeyPool {
  /**
   * Usable keys, best first: rotated by weight, those in `used` last (only used again when no other is free).
   * Null when every key is cooling or disabled.
   */
  turn(used: ReadonlySet<string>): KeyTurn | null;
  /** The same keys in the order of the file. A question: no turn moves. */
  usable(): readonly ProviderKey[];
  /** What happened to a call with this key. */
  report(keyId: string, verdict: Verdict | 'ok', reason?: string): void;
  /** Milliseconds until a key may be used again; 0 when one is free now, null when every key is disabled. */
  readyInMs(): number | null;
  snapshot(): KeyState[];
}

/** A key that a request brought for one provider entry: its own calls there are made with it, and paid by its owner. */
export interface BroughtKey {
  providerId: string;
  /** The brought key alone. What becomes of it is known to this request only. */
  keys: KeyPool;
  /** Nothing of it is ours to pay: every class at zero. */
  price: Price;
}

const BROUGHT = ':byok';

/** What rows, logs and metrics call a brought key: all of one entry alike, for none is kept. */
export function broughtKeyId(providerId: string): string {
  return `${providerId}${BROUGHT}`;
}

/** True for the name of a brought key; a fingerprint is hex. */
export function isBroughtKeyId(keyId: string): boolean {
  return keyId.endsWith(BROUGHT);
}
