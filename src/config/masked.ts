import type { LimitSettings } from '../domain/limit.js';
import { formatRatePerMillion, formatUsdShort } from '../domain/money.js';
import type { Rates } from '../domain/pricing.js';
import type { JsonObject } from '../domain/task.js';
import type { ClientConfig, Config, ModelConfig, PricingConfig, ProviderConfig } from './config.js';
import { OTHER_PRICES, TOKEN_PRICES } from './pricing.js';

const MASK = '[redacted]';
const SECRET_NAME = /auth|key|token|secret|password|cookie/i;
/** Names that hold one of those words and no secret. */
const PLAIN_NAME = /^(max_(completion_|new_|output_)?tokens|.*_tokens|logit_bias)$/;

/**
 * The effective config in the file's own words, as JSON: defaults filled in, every secret as `[redacted]`. Durations
 * are in milliseconds with `_ms` in the key; token prices are decimal strings in USD per million tokens.
 */
export function maskedConfig(config: Config): JsonObject {
  const { server, storage } = config;
  return {
    server: {
      ...inFileWords({ ...server, adminKey: undefined }),
      admin_api_key: server.adminKey === null ? null : MASK,
    },
    logging: inFileWords(config.logging),
    storage: inFileWords(storage),
    llm_providers: config.providers.map(maskedProvider),
    api_keys: config.clients === null ? null : config.clients.map(maskedClient),
    model_aliases: config.aliases,
    policy: inFileWords(config.policy),
    catalog: inFileWords(config.catalog),
  };
}

function maskedProvider(provider: ProviderConfig): JsonObject {
  const { keys, headers, extraBody, models, pricing, limits, timeouts, ...rest } = provider;
  return {
    ...inFileWords(rest),
    api_keys: keys.map((key) => ({ key: MASK, weight: key.weight, limits: maskedLimits(key.limits) })),
    headers: maskNamed(headers),
    extra_body: maskNamed(extraBody),
    timeout: inFileWords(timeouts),
    models: models === null ? null : models.map(maskedModel),
    pricing: maskedPricing(pricing),
    limits: maskedLimits(limits),
  };
}

function maskedModel(model: ModelConfig): JsonObject {
  const { pricing, limits, ...rest } = model;
  return { ...inFileWords(rest), pricing: maskedPricing(pricing), limits: maskedLimits(limits) };
}

function maskedClient(client: ClientConfig): JsonObject {
  const { keySha256: _hidden, budget, expiresAt, limits, tags, ...rest } = client;
  return {
    ...inFileWords(rest),
    key: MASK,
    limits: maskedLimits(limits),
    budget:
      budget === null
        ? null
        : {
            usd: formatUsdShort(budget.nanoUsd),
            per: budget.per,
            timezone: budget.timeZone,
            on_exceed: budget.onExceed,
          },
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    tags,
  };
}

function maskedLimits(limits: LimitSettings): JsonObject {
  const { sessionTokens, sessionMs, ...rest } = limits;
  const session = sessionTokens == null ? {} : { session_limit: sessionTokens, session_ms: sessionMs };
  return { ...inFileWords(rest), ...session };
}

/** Prices in USD: per million tokens, and each for what is no token. */
export function maskedPricing(pricing: PricingConfig | null): JsonObject | 'catalog' | null {
  if (pricing === null) return null;
  if (pricing.source === 'catalog') return 'catalog';
  return {
    unit: '1m_tokens',
    ...writtenRates(pricing.rates),
    tiers: pricing.tiers.map((tier) => ({ above_input_tokens: tier.aboveInputTokens, ...writtenRates(tier.rates) })),
  };
}

function writtenRates(rates: Rates): Record<string, string> {
  const written: Record<string, string> = {};
  for (const [key, rateClass] of Object.entries(TOKEN_PRICES)) {
    const rate = rates[rateClass];
    if (rate !== undefined) written[key] = formatRatePerMillion(rate);
  }
  for (const [key, rateClass] of Object.entries(OTHER_PRICES)) {
    const rate = rates[rateClass];
    if (rate !== undefined) written[key] = usdEach(rate);
  }
  return written;
}

/** A rate (nano-USD per million) as USD for one. */
export function usdEach(rate: bigint): string {
  const digits = rate.toString().padStart(16, '0');
  return `${digits.slice(0, -15)}.${digits.slice(-15)}`.replace(/\.?0+$/, '');
}

/** Values whose name says that they are secret, at any depth. */
function maskNamed(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (SECRET_NAME.test(name) && !PLAIN_NAME.test(name)) return [name, MASK];
      return [name, isPlainObject(inner) ? maskNamed(inner) : inner];
    }),
  );
}

function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Keys in snake_case, Secrets as they print, at any depth of plain objects. */
function inFileWords(value: object): JsonObject {
  const result: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    result[key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = convert(inner);
  }
  return result;
}

function convert(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(convert);
  if (isPlainObject(value)) return inFileWords(value);
  return typeof value === 'object' && value !== null ? MASK : value;
}
