import type { Config } from '../config/config.js';
import { keyScope } from '../dispatch/lease.js';
import { UserError } from '../domain/errors.js';
import type { LimitScope } from '../domain/limit.js';
import type { Price } from '../domain/pricing.js';
import type { Target } from '../domain/route.js';
import { addressOf, type BuiltProvider, buildProvider, type TargetParts } from './targets.js';

/** All provider entries of one configuration, built. */
export interface BuiltProviders {
  all: readonly BuiltProvider[];
  /** A provider's target for a model it lists by name. */
  offered: (providerId: string, model: string) => Target | null;
  prices: readonly Price[];
}

/** @throws UserError when an entry needs a URL and has none */
export function buildProviders(config: Config, parts: TargetParts): BuiltProviders {
  const all = config.providers.map((provider, index) => {
    const adapter = parts.findAdapter(provider.type);
    if (adapter !== null && adapter.inline !== true && addressOf(provider, adapter) === null) {
      throw new UserError(
        `llm_providers[${index}].base_url: type \`${provider.type}\` has no default, so it must be set`,
      );
    }
    return buildProvider(provider, index, parts);
  });
  const byId = new Map(all.map((provider) => [provider.config.id, provider]));
  return {
    all,
    offered: (providerId, model) =>
      byId.get(providerId)?.offer.targets.find((target) => target.model === model) ?? null,
    prices: [...new Map(all.flatMap((provider) => provider.prices).map((price) => [price.id, price])).values()],
  };
}

/** The limits of one key as its scope: what operators and metrics are shown. */
export function keyScopes(providers: BuiltProviders): LimitScope[] {
  return providers.all.flatMap(({ keys }) => keys.map(keyScope));
}
