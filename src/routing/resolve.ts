import { distance } from 'fastest-levenshtein';
import { WaybillError } from '../domain/errors.js';
import type { Access, ListedModel, Target } from '../domain/route.js';

/** One provider entry, as the resolver sees it. */
export interface ProviderOffer {
  id: string;
  /** What it offers by name, in the order of the file. */
  targets: readonly Target[];
  /** What its id alone means; null when it has no default. */
  defaultModel: string | null;
  /** Makes a target for a model that is not listed; null when only listed models may be asked for. */
  openTarget: ((model: string) => Target) | null;
}

/** An offer whose targets are found by their model; of two of one name the first counts. */
interface Offered extends ProviderOffer {
  byModel: ReadonlyMap<string, Target>;
}

export interface ResolvedAlias {
  targets: ReadonlyArray<{ model: string; weight: number }>;
  fallback: readonly string[];
}

/** How the model's name ordered or narrowed what it means. */
export type Preference = 'none' | 'fastest' | 'cheapest' | 'preferred';

/** A target that a name means, with the weight its alias gives it. */
export interface Meaning {
  target: Target;
  weight: number;
}

export interface Resolution {
  meanings: readonly Meaning[];
  /** Tried after all of `meanings`, in order. */
  fallbacks: readonly Target[];
  preference: Preference;
  /** True for `provider:model`: nothing but `fallback.providers` may stand in. */
  pinned: boolean;
}

/**
 * What a model's name means, in this order: an alias, `provider:model`, a provider's id, a model that providers
 * offer, the same with a suffix. Null when it means nothing.
 */
export class NameResolver {
  readonly #offers: ReadonlyMap<string, Offered>;
  readonly #aliases: ReadonlyMap<string, ResolvedAlias>;
  readonly #byModel = new Map<string, Target[]>();
  /** What aliases and models were found to mean, which never changes: there are no more of them than the config names. */
  readonly #known = new Map<string, Resolution>();

  constructor(offers: readonly ProviderOffer[], aliases: ReadonlyMap<string, ResolvedAlias>) {
    this.#offers = new Map(offers.map((offer) => [offer.id, { ...offer, byModel: byModel(offer.targets) }]));
    this.#aliases = aliases;
    for (const offer of offers) {
      for (const target of offer.targets) {
        const shared = this.#byModel.get(target.model);
        if (shared === undefined) this.#byModel.set(target.model, [target]);
        else shared.push(target);
      }
    }
  }

  resolve(name: string): Resolution | null {
    return this.#resolveWhole(name) ?? this.#resolveSuffix(name);
  }

  #resolveWhole(name: string): Resolution | null {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const alias = this.#aliases.get(name);
    const pinned = alias === undefined ? this.#resolvePinned(name) : null;
    // Of names that the config does not list nothing is kept: clients make up as many as they like.
    if (pinned !== null) return pinned;
    const resolution = alias === undefined ? this.#resolveModel(name) : this.#resolveAlias(alias);
    if (resolution !== null) this.#known.set(name, resolution);
    return resolution;
  }

  #resolveModel(name: string): Resolution | null {
    const shared = this.#byModel.get(name);
    if (shared === undefined) return null;
    return {
      meanings: shared.map((target) => ({ target, weight: target.weight })),
      fallbacks: [],
      preference: 'none',
      pinned: false,
    };
  }

  #resolveAlias(alias: ResolvedAlias): Resolution {
    const meanings: Meaning[] = [];
    for (const { model, weight } of alias.targets) {
      for (const target of this.#targetsOf(model)) meanings.push({ target, weight });
    }
    const fallbacks = alias.fallback.flatMap((name) => this.#fallbackTargets(name, new Set()));
    return { meanings, fallbacks, preference: 'none', pinned: false };
  }

  /** A fallback may be an alias itself; one that leads back to itself adds nothing. */
  #fallbackTargets(name: string, seen: Set<string>): Target[] {
    const alias = this.#aliases.get(name);
    if (alias === undefined) return this.#targetsOf(name);
    if (seen.has(name)) return [];
    seen.add(name);
    return [
      ...alias.targets.flatMap(({ model }) => this.#targetsOf(model)),
      ...alias.fallback.flatMap((next) => this.#fallbackTargets(next, seen)),
    ];
  }

  #targetsOf(name: string): Target[] {
    const pinned = this.#resolvePinned(name);
    if (pinned !== null) return pinned.meanings.map((meaning) => meaning.target);
    return this.#byModel.get(name) ?? [];
  }

  #resolvePinned(name: string): Resolution | null {
    const colon = name.indexOf(':');
    const offer = this.#offers.get(colon === -1 ? name : name.slice(0, colon));
    if (offer === undefined) return null;
    const model = colon === -1 ? offer.defaultModel : name.slice(colon + 1);
    if (model === null || model === '') return null;
    const target = offer.byModel.get(model) ?? offer.openTarget?.(model);
    if (target === undefined) return null;
    return { meanings: [{ target, weight: target.weight }], fallbacks: [], preference: 'none', pinned: true };
  }

  #resolveSuffix(name: string): Resolution | null {
    const colon = name.lastIndexOf(':');
    if (colon <= 0) return null;
    const whole = this.#resolveWhole(name.slice(0, colon));
    if (whole === null) return null;
    const suffix = name.slice(colon + 1);
    if (suffix === 'fastest' || suffix === 'cheapest' || suffix === 'preferred')
      return { ...whole, preference: suffix };
    if (!this.#offers.has(suffix)) return null;
    const meanings = whole.meanings.filter((meaning) => meaning.target.providerId === suffix);
    return meanings.length === 0 ? null : { meanings, fallbacks: [], preference: 'none', pinned: true };
  }

  /** Every name there is: aliases, then models as providers offer them. */
  list(access: Access): ListedModel[] {
    const listed: ListedModel[] = [];
    for (const [id, alias] of this.#aliases) {
      const targets = this.#resolveAlias(alias).meanings.map((meaning) => meaning.target);
      const allowed = targets.filter((target) => whyNotAllowed(target, access, null, id) === null);
      if (allowed.length > 0) listed.push({ id, targets: allowed });
    }
    for (const [id, targets] of this.#byModel) {
      if (this.#aliases.has(id)) continue;
      const allowed = targets.filter((target) => whyNotAllowed(target, access, null, id) === null);
      if (allowed.length > 0) listed.push({ id, targets: allowed });
    }
    return listed;
  }

  /** An error that names what is near, among the names this client may use. */
  unknown(name: string, access: Access): WaybillError {
    const near = this.list(access)
      .map((model) => ({ id: model.id, distance: distance(name.toLowerCase(), model.id.toLowerCase()) }))
      .filter((model) => model.distance <= Math.max(3, Math.floor(name.length / 3)))
      .sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
      .slice(0, 3)
      .map((model) => `\`${model.id}\``);
    const hint = near.length === 0 ? 'GET /v1/models lists what there is.' : `Did you mean ${near.join(' or ')}?`;
    return new WaybillError('model_not_found', {
      message: `The model \`${clip(name)}\` does not exist or is not offered here. ${hint}`,
      param: 'model',
    });
  }
}

function byModel(targets: readonly Target[]): ReadonlyMap<string, Target> {
  return new Map(targets.toReversed().map((target) => [target.model, target]));
}

/** Why a client may not use a target under the name it asked for; null when it may. */
export function whyNotAllowed(target: Target, access: Access, region: string | null, asked: string): string | null {
  const { providerId, model } = target;
  if (!anyMatches(access.allowedProviders, providerId)) return `provider ${providerId} is not allowed for this client`;
  const patterns = access.allowedModels;
  if (!anyMatches(patterns, asked) && !anyMatches(patterns, model) && !anyMatches(patterns, target.id)) {
    return `model ${model} is not allowed for this client`;
  }
  return whyElsewhere(target, access.region) ?? whyElsewhere(target, region);
}

function anyMatches(patterns: readonly string[], text: string): boolean {
  for (const pattern of patterns) if (globMatches(pattern, text)) return true;
  return false;
}

function whyElsewhere(target: Target, wanted: string | null): string | null {
  if (wanted === null || target.region === wanted) return null;
  return `region ${wanted} is demanded, ${target.region ?? 'none'} is offered`;
}

/** `*` stands for any run of characters, slashes and colons too. */
export function globMatches(pattern: string, text: string): boolean {
  if (pattern === '*' || pattern === text) return true;
  if (!pattern.includes('*')) return false;
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  const last = rest.pop() ?? '';
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, from);
    if (found === -1) return false;
    from = found + part.length;
  }
  return text.length - from >= last.length && text.endsWith(last);
}

function clip(name: string): string {
  return name.length > 200 ? `${name.slice(0, 200)}…` : name;
}
