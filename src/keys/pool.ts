import { DISABLED_KEY_MS, type Verdict } from '../domain/failure.js';
import type { KeyPool, KeyState, KeyTurn, ProviderKey } from '../domain/keys.js';
import type { LimitSettings } from '../domain/limit.js';
import type { Clock, Random } from '../domain/ports.js';
import { Secret } from '../domain/secret.js';
import { createKeyMemory, type KeyMemory, type KeyRecord } from './memory.js';

export interface KeyPoolOptions {
  keys: readonly ProviderKey[];
  clock: Clock;
  random: Random;
  /** The first back-off after a 429 that does not say how long; each further one doubles it. */
  baseCooldownMs: number;
  maxCooldownMs: number;
  /** What is known of the keys already; a new, empty one when left out. */
  memory?: KeyMemory;
}

/** The one key of a provider that needs none: its secret is empty. */
export function keylessKey(providerId: string, limits: LimitSettings): ProviderKey {
  return { id: `${providerId}:none`, secret: new Secret(''), weight: 1, limits };
}

/** The keys of one provider entry. Rotation belongs to the pool, cooldowns to the memory. */
export function createKeyPool(options: KeyPoolOptions): KeyPool {
  return new RotatingKeyPool(options);
}

interface RotatingKey {
  key: ProviderKey;
  /** Smooth weighted round-robin: grows by the weight with each turn, falls by all weights when chosen. */
  credit: number;
}

class RotatingKeyPool implements KeyPool {
  readonly #keys: RotatingKey[];
  readonly #memory: KeyMemory;
  readonly #options: KeyPoolOptions;
  readonly #areEqual: boolean;
  /** Whose turn it is next where all weigh the same and nothing is known against any. */
  #next = 0;

  constructor(options: KeyPoolOptions) {
    this.#options = options;
    this.#keys = options.keys.map((key) => ({ key, credit: 0 }));
    this.#memory = options.memory ?? createKeyMemory();
    this.#areEqual = options.keys.every(({ weight }) => weight === options.keys[0]?.weight);
  }

  turn(used: ReadonlySet<string>): KeyTurn | null {
    // The way of most calls: nothing is known against any key, and none was used by this request.
    const areAllReady = this.#memory.size === 0;
    const [only] = this.#keys;
    if (areAllReady && only !== undefined && this.#keys.length === 1) return alone(only.key);
    if (areAllReady && used.size === 0) return this.#areEqual ? this.#nextOfAll() : turnOf(this.#keys, []);
    const now = this.#options.clock.now();
    if (only !== undefined && this.#keys.length === 1) return this.#isReady(only.key.id, now) ? alone(only.key) : null;
    const fresh: RotatingKey[] = [];
    const again: ProviderKey[] = [];
    for (const entry of this.#keys) {
      if (!this.#isReady(entry.key.id, now)) continue;
      if (used.has(entry.key.id)) again.push(entry.key);
      else fresh.push(entry);
    }
    return turnOf(fresh, again);
  }

  /** What `turnOf` would say, without a look at each of what may be thousands. */
  #nextOfAll(): KeyTurn | null {
    const at = this.#next;
    this.#next = at + 1 < this.#keys.length ? at + 1 : 0;
    return turnAt(this.#keys, at, []);
  }

  usable(): readonly ProviderKey[] {
    const now = this.#options.clock.now();
    return this.#keys.filter(({ key }) => this.#isReady(key.id, now)).map(({ key }) => key);
  }

  report(keyId: string, verdict: Verdict | 'ok', reason?: string): void {
    const record = this.#memory.get(keyId);
    if (verdict === 'ok') {
      // A success that was under way before the 429 does not end the cooldown, only the doubling.
      if (record === undefined) return;
      if (record.until <= this.#options.clock.now()) this.#memory.delete(keyId);
      else record.refusals = 0;
      return;
    }
    if (verdict.action !== 'rotate-key') return;
    const now = this.#options.clock.now();
    const next: KeyRecord = record ?? { until: 0, isDisabled: false, refusals: 0, reason: null };
    this.#memory.set(keyId, next);
    if (verdict.disable === true) {
      next.isDisabled = true;
      next.until = now + (verdict.cooldownMs ?? DISABLED_KEY_MS);
      next.reason = reason ?? null;
      return;
    }
    if (next.isDisabled && next.until > now) return;
    const isCooling = next.until > now;
    next.isDisabled = false;
    next.until = Math.max(next.until, now + (verdict.cooldownMs ?? this.#backOff(next, isCooling)));
    next.reason = reason ?? null;
  }

  readyInMs(): number | null {
    if (this.#memory.size === 0) return this.#keys.length === 0 ? null : 0;
    const now = this.#options.clock.now();
    let soonest: number | null = null;
    for (const { key } of this.#keys) {
      const record = this.#memory.get(key.id);
      if (record === undefined || record.until <= now) return 0;
      if (record.isDisabled) continue;
      soonest = Math.min(soonest ?? Number.POSITIVE_INFINITY, record.until - now);
    }
    return soonest;
  }

  snapshot(): KeyState[] {
    const now = this.#options.clock.now();
    return this.#keys.map(({ key }) => {
      const record = this.#memory.get(key.id);
      if (record === undefined || record.until <= now) return { id: key.id, state: 'ready', until: null, reason: null };
      const state = record.isDisabled ? 'disabled' : 'cooling';
      return { id: key.id, state, until: record.until, reason: record.reason };
    });
  }

  #isReady(keyId: string, now: number): boolean {
    const record = this.#memory.get(keyId);
    return record === undefined || record.until <= now;
  }

  /** Doubles with each refusal, by equal jitter. Many calls refused at the same time count once. */
  #backOff(record: KeyRecord, isCooling: boolean): number {
    if (!isCooling) record.refusals += 1;
    const { baseCooldownMs, maxCooldownMs, random } = this.#options;
    const whole = Math.min(maxCooldownMs, baseCooldownMs * 2 ** Math.max(0, record.refusals - 1));
    return whole / 2 + (random() * whole) / 2;
  }
}

function alone(key: ProviderKey): KeyTurn {
  return { first: key, others: noOthers };
}

function noOthers(): readonly ProviderKey[] {
  return [];
}

/** `again`: keys that come after all others, in the order of the file. */
function turnOf(fresh: readonly RotatingKey[], again: readonly ProviderKey[]): KeyTurn | null {
  return turnAt(fresh, nextInTurn(fresh), again);
}

function turnAt(fresh: readonly RotatingKey[], at: number, again: readonly ProviderKey[]): KeyTurn | null {
  const chosen = fresh[at];
  if (chosen !== undefined) {
    const others = () => [...fresh.slice(at + 1), ...fresh.slice(0, at)].map((entry) => entry.key).concat(again);
    return { first: chosen.key, others };
  }
  const [first, ...rest] = again;
  return first === undefined ? null : { first, others: () => rest };
}

/** Whose turn it is: keys come up in proportion to their weights, spread evenly. */
function nextInTurn(entries: readonly RotatingKey[]): number {
  let total = 0;
  let best = 0;
  let bestCredit = Number.NEGATIVE_INFINITY;
  for (let nth = 0; nth < entries.length; nth += 1) {
    const entry = entries[nth] as RotatingKey;
    total += entry.key.weight;
    entry.credit += entry.key.weight;
    if (entry.credit > bestCredit) {
      best = nth;
      bestCredit = entry.credit;
    }
  }
  const chosen = entries[best];
  if (chosen !== undefined) chosen.credit -= total;
  return best;
}
