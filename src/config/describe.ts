import { formatRatePerMillion } from '../domain/money.js';
import type { Rates } from '../domain/pricing.js';
import type { Config, PricingConfig, ProviderConfig } from './config.js';
import { usdEach } from './masked.js';
import { OTHER_PRICES, TOKEN_PRICES } from './pricing.js';

/** What a config comes to: who is reached by which name, for how much. Prices are decimal strings. */
export interface RoutingDescription {
  listen: string;
  openMode: boolean;
  providers: Array<{
    id: string;
    type: string;
    disabledReason: string | null;
    baseUrl: string | null;
    keys: number;
    /** Whether requests may bring a key of their own. */
    takesClientKeys: boolean;
    defaultModel: string | null;
    /** Whether any model may be asked of it as `id:model`. */
    anyModel: boolean;
    models: Array<{ id: string; providerModel: string; tasks: readonly string[] | null; price: DescribedPrice }>;
    /** The entry's own price: of models that have none. */
    price: DescribedPrice;
  }>;
  aliases: Array<{ name: string; targets: Array<{ model: string; weight: number }>; fallback: string[] }>;
}

/** `usdPerMillionTokens` by class, `usdEach` by class; null when no price is set; `catalog` when it is taken from there. */
export type DescribedPrice =
  | null
  | 'catalog'
  | { usdPerMillionTokens: Record<string, string>; usdEach: Record<string, string>; tiers: DescribedTier[] };

export interface DescribedTier {
  aboveInputTokens: number;
  usdPerMillionTokens: Record<string, string>;
  usdEach: Record<string, string>;
}

export function describeRouting(config: Config): RoutingDescription {
  const { host, port } = config.server;
  return {
    listen: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    openMode: config.clients === null,
    providers: config.providers.map(describeProvider),
    aliases: Object.entries(config.aliases).map(([name, { targets, fallback }]) => ({ name, targets, fallback })),
  };
}

function describeProvider(provider: ProviderConfig): RoutingDescription['providers'][number] {
  const { id, type, disabledReason, baseUrl, keys, allowClientKeys, model, models, pricing } = provider;
  const listed = (models ?? []).map((offered) => ({
    id: offered.id,
    providerModel: offered.providerModel ?? offered.id,
    tasks: offered.tasks,
    price: describePrice(offered.pricing ?? pricing),
  }));
  const isListed = model === null || listed.some((offered) => offered.id === model);
  return {
    id,
    type,
    disabledReason,
    baseUrl,
    keys: keys.length,
    takesClientKeys: allowClientKeys,
    defaultModel: model,
    anyModel: models === null,
    models: isListed
      ? listed
      : [{ id: model, providerModel: model, tasks: null, price: describePrice(pricing) }, ...listed],
    price: describePrice(pricing),
  };
}

function describePrice(pricing: PricingConfig | null): DescribedPrice {
  if (pricing === null) return null;
  if (pricing.source === 'catalog') return 'catalog';
  return {
    ...describeRates(pricing.rates),
    tiers: pricing.tiers.map((tier) => ({ aboveInputTokens: tier.aboveInputTokens, ...describeRates(tier.rates) })),
  };
}

function describeRates(rates: Rates): { usdPerMillionTokens: Record<string, string>; usdEach: Record<string, string> } {
  const perMillion: Record<string, string> = {};
  for (const [key, rateClass] of Object.entries(TOKEN_PRICES)) {
    const rate = rates[rateClass];
    if (rate !== undefined) perMillion[withoutCost(key)] = formatRatePerMillion(rate);
  }
  const each: Record<string, string> = {};
  for (const [key, rateClass] of Object.entries(OTHER_PRICES)) {
    const rate = rates[rateClass];
    if (rate !== undefined) each[withoutCost(key)] = usdEach(rate);
  }
  return { usdPerMillionTokens: perMillion, usdEach: each };
}

/** `cached_input_token_cost` → `cached_input`, `image_cost` → `image`. */
function withoutCost(key: string): string {
  return key.replace(/(_token)?_cost$/, '');
}
