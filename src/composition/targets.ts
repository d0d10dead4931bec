import type { ModelConfig, ProviderConfig } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import { type KeyPool, type ProviderKey, scopeOfKey } from '../domain/keys.js';
import type { Clock, Random } from '../domain/ports.js';
import type { Price } from '../domain/pricing.js';
import type { ProviderAdapter } from '../domain/provider.js';
import type { Target } from '../domain/route.js';
import type { Task } from '../domain/task.js';
import { keyFingerprint } from '../keys/fingerprint.js';
import type { KeyMemory } from '../keys/memory.js';
import { createKeyPool, keylessKey } from '../keys/pool.js';
import type { ProviderOffer } from '../routing/resolve.js';
import { broughtKeyPrice, configuredPrice, priceOf } from './prices.js';

export interface TargetParts {
  findAdapter: (type: string) => ProviderAdapter | null;
  keyMemory: KeyMemory;
  clock: Clock;
  random: Random;
  backoff: { intervalMs: number; maxIntervalMs: number };
  /** Where the bundled upstream listens; null when no entry needs it. */
  sandboxUrl: string | null;
}

/** One provider entry, built: what it offers, its keys, its targets. */
export interface BuiltProvider {
  config: ProviderConfig;
  /** Where its requests go; '' for a type without an address of its own that names none. */
  baseUrl: string;
  keys: readonly ProviderKey[];
  pool: KeyPool;
  offer: ProviderOffer;
  prices: readonly Price[];
}

/** Builds one entry of `llm_providers`. */
export function buildProvider(config: ProviderConfig, position: number, parts: TargetParts): BuiltProvider {
  const adapter = parts.findAdapter(config.type) ?? (config.disabledReason === null ? null : idleAdapter(config.type));
  if (adapter === null) throw new UserError(`llm_providers[${position}].type: unknown type \`${config.type}\``);
  const keys = keysOf(config, adapter);
  const pool = createKeyPool({
    keys,
    clock: parts.clock,
    random: parts.random,
    baseCooldownMs: parts.backoff.intervalMs,
    maxCooldownMs: parts.backoff.maxIntervalMs,
    memory: parts.keyMemory,
  });
  const origin = `config:llm_providers[${position}].pricing`;
  const entryPrice =
    config.pricing !== null
      ? configuredPrice(origin, config.pricing)
      : adapter.defaultRates === null
        ? null
        : priceOf(`adapter:${adapter.id}`, adapter.defaultRates, []);
  const address = (adapter.inline === true ? parts.sandboxUrl : addressOf(config, adapter)) ?? '';
  const baseUrl = address.replace(/\/+$/, '');
  const needsBroughtKey = keys.length === 0 && config.disabledReason === null;
  const build = (model: ModelConfig | string, index: number | null) =>
    buildTarget({
      ...{ config, adapter, baseUrl, pool, model, entryPrice, needsBroughtKey },
      origin: modelOrigin(position, index),
    });
  const named = config.models ?? [];
  const targets = named.map((model, index) => build(model, index));
  if (config.model !== null && !named.some((model) => model.id === config.model))
    targets.push(build(config.model, null));
  const opened = new Map<string, Target>();
  return {
    config,
    baseUrl,
    keys,
    pool,
    prices: [
      entryPrice,
      ...targets.map((target) => target.price),
      config.allowClientKeys ? broughtKeyPrice() : null,
    ].filter((price): price is Price => price !== null),
    offer: {
      id: config.id,
      targets,
      defaultModel: config.model ?? named[0]?.id ?? null,
      openTarget:
        config.models !== null
          ? null
          : (model) => {
              const known = opened.get(model);
              if (known !== undefined) return known;
              const target = build(model, null);
              // Names come from clients: only so many are remembered.
              if (opened.size < 1_000) opened.set(model, target);
              return target;
            },
    },
  };
}

/** Where an entry's requests go; null where neither it nor its type says. */
export function addressOf(config: ProviderConfig, adapter: ProviderAdapter): string | null {
  return config.baseUrl ?? adapter.baseUrl ?? adapter.baseUrlFor?.({ region: config.region }) ?? null;
}

function modelOrigin(position: number, index: number | null): string {
  return `config:llm_providers[${position}].${index === null ? '' : `models[${index}].`}pricing`;
}

/** Of a type that is known by name and cannot be called yet: its entry is disabled, and listed as such. */
function idleAdapter(type: string): ProviderAdapter {
  const nothing = () => ({});
  return {
    id: type,
    baseUrl: null,
    docs: '',
    needsKey: true,
    defaultRates: null,
    tasks: {},
    authenticate: nothing,
    sampleConfig: nothing,
  };
}

function keysOf(config: ProviderConfig, adapter: ProviderAdapter): ProviderKey[] {
  if (config.disabledReason !== null) return [];
  if (config.keys.length === 0 && !adapter.needsKey) {
    return [scoped(keylessKey(config.id, config.limits))];
  }
  const keys = config.keys.map((key) => scoped({ id: keyFingerprint(config.id, key.secret), ...key }));
  return [...new Map(keys.map((key) => [key.id, key])).values()];
}

/** Name by name: a copy that is then added to gets a hidden class of its own, and there may be thousands of keys. */
function scoped({ id, secret, weight, limits }: ProviderKey): ProviderKey {
  return { id, secret, weight, limits, scope: scopeOfKey({ id, limits }) };
}

interface TargetBuild {
  config: ProviderConfig;
  adapter: ProviderAdapter;
  pool: KeyPool;
  model: ModelConfig | string;
  entryPrice: Price | null;
  origin: string;
  baseUrl: string;
  needsBroughtKey: boolean;
}

function buildTarget(parts: TargetBuild): Target {
  const { config, adapter, pool, model: given, entryPrice, origin, baseUrl } = parts;
  const model = typeof given === 'string' ? null : given;
  const id = typeof given === 'string' ? given : given.id;
  const hasModelLimits =
    model !== null && Object.values(model.limits).some((limit) => limit !== null && limit !== undefined);
  return {
    id: `${config.id}:${id}`,
    providerId: config.id,
    model: id,
    adapter,
    upstream: {
      providerId: config.id,
      providerModel: model?.providerModel ?? id,
      baseUrl,
      hasOwnPath: config.baseUrl !== null && hasPath(config.baseUrl),
      headers: lowerCased(config.headers),
      extraBody: config.extraBody,
      dropParams: config.dropParams,
      maxOutputTokens: model?.maxOutputTokens ?? config.maxOutputTokens,
      apiVersion: config.apiVersion,
    },
    tasks: model?.tasks ?? (Object.keys(adapter.tasks) as Task[]),
    keys: pool,
    modelScope: hasModelLimits ? { id: `model:${config.id}:${id}`, settings: (model as ModelConfig).limits } : null,
    price: model?.pricing == null ? entryPrice : configuredPrice(origin, model.pricing),
    contextWindow: model?.contextWindow ?? null,
    region: config.region,
    weight: config.weight,
    timeouts: config.timeouts,
    onDisconnect: config.onDisconnect,
    ...(parts.needsBroughtKey ? { needsBroughtKey: true } : {}),
  };
}

function hasPath(url: string): boolean {
  return URL.canParse(url) && new URL(url).pathname.replace(/\/+$/, '') !== '';
}

/** The entry's own headers win over the adapter's, whatever their case. */
function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
