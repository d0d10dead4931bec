import type { LimitSettings } from '../domain/limit.js';
import { toNanoUsd } from '../domain/money.js';
import { Secret } from '../domain/secret.js';
import { keyHash } from './access-checks.js';
import type {
  AliasConfig,
  ClientConfig,
  Config,
  LoggingConfig,
  ModelConfig,
  PolicyConfig,
  ProviderConfig,
  ServerConfig,
  StorageConfig,
} from './config.js';
import { findType, type KnownType } from './entry-checks.js';
import { adaptersOf, type ProviderModules } from './provider-modules.js';
import type { ConfigFile } from './schema.js';
import type { AliasFile, ClientFile } from './schema-access.js';
import type { PolicyFile } from './schema-policy.js';
import type { LimitsFile, ModelFile, ProviderFile } from './schema-providers.js';
import type { LoggingFile, ServerFile, StorageFile } from './schema-server.js';
import { errorAt, type Finding } from './yaml-path.js';

const DEFAULT_LEDGER = './data/waybill.db';

export interface BuildInput {
  file: ConfigFile;
  knownTypes: readonly KnownType[];
  modules: ProviderModules | 'unread';
  /** Why entries take no part, by position. */
  disabled: ReadonlyMap<number, string>;
  /** The port that PORT names; null when it names none. */
  port: number | null;
}

/** The file, checked, as the program uses it. */
export function buildConfig({ file, knownTypes, modules, disabled, port }: BuildInput): {
  config: Config;
  findings: Finding[];
} {
  const findings: Finding[] = [];
  const clients = file.api_keys?.map((client, index) => buildClient(client, index, findings)) ?? null;
  const config: Config = {
    server: buildServer(file.server, port),
    logging: buildLogging(file.logging),
    storage: buildStorage(file.storage),
    providers: file.llm_providers.map((entry, index) =>
      buildProvider(entry, findType(entry.type, knownTypes)?.id ?? entry.type, disabled.get(index) ?? null),
    ),
    modules: adaptersOf(modules),
    clients,
    aliases: buildAliases(file.model_aliases),
    policy: buildPolicy(file.policy),
    catalog: {
      refreshMs: file.catalog.refresh,
      sources: file.catalog.sources.map(({ provider, kind, every }) => ({ provider, kind, everyMs: every ?? null })),
    },
  };
  return { config, findings };
}

function buildServer(server: ServerFile, port: number | null): ServerConfig {
  const { cors, webui } = server;
  return {
    host: server.listen.host,
    port: port ?? server.listen.port,
    adminKey: secretOrNull(server.admin_api_key),
    bodyLimitBytes: server.body_limit,
    shutdownGraceMs: server.shutdown_grace,
    trustProxy: server.trust_proxy,
    cors: {
      enabled: cors.enabled,
      allowedOrigins: cors.allowed_origins,
      allowedMethods: cors.allowed_methods.map((method) => method.toUpperCase()),
      allowedHeaders: cors.allowed_headers,
      allowCredentials: cors.allow_credentials && !cors.allowed_origins.includes('*'),
      maxAgeSeconds: cors.max_age,
    },
    webui: {
      enabled: webui.enabled,
      adminId: webui.admin_id ?? null,
      adminPassword: secretOrNull(webui.admin_password),
    },
  };
}

function secretOrNull(text: string | undefined): Secret | null {
  return text === undefined || text.trim() === '' ? null : new Secret(text);
}

function buildLogging({ level, format, file, prometheus, prompts }: LoggingFile): LoggingConfig {
  const { enabled, path, max_size_mb, max_backups } = file;
  return {
    level,
    format,
    file: { enabled, path, maxSizeMb: max_size_mb, maxBackups: max_backups },
    prometheus,
    prompts,
  };
}

function buildStorage({ ledger, shared }: StorageFile): StorageConfig {
  const common = { durability: ledger.durability, retentionDays: ledger.retention_days ?? null };
  return {
    ledger:
      ledger.type === 'postgres'
        ? { type: 'postgres', url: new Secret(ledger.url ?? ''), pool: ledger.pool, ...common }
        : { type: 'sqlite', path: ledger.path ?? DEFAULT_LEDGER, ...common },
    shared:
      shared.type === 'redis'
        ? { type: 'redis', url: new Secret(shared.url ?? ''), onFailure: shared.on_failure, leaseMs: shared.lease }
        : { type: 'none' },
  };
}

function buildProvider(entry: ProviderFile, type: string, disabledReason: string | null): ProviderConfig {
  const limits = buildLimits(entry.limits);
  return {
    id: entry.id,
    name: entry.name ?? entry.id,
    type,
    keys: entry.api_keys.flatMap((key) => {
      const { key: text, weight, limits: own } = typeof key === 'string' ? { key, weight: 1, limits: null } : key;
      if (text.trim() === '') return [];
      return [
        { secret: new Secret(text.trim()), weight, limits: own === null ? limits : { ...limits, ...buildLimits(own) } },
      ];
    }),
    disabledReason,
    baseUrl: entry.base_url ?? null,
    model: entry.model ?? null,
    models: entry.models?.map((model) => buildModel(model, entry.validate)) ?? null,
    region: entry.region ?? null,
    headers: entry.headers,
    weight: entry.weight,
    timeouts: {
      connectMs: entry.timeout.connect,
      firstByteMs: entry.timeout.first_byte,
      idleMs: entry.timeout.idle,
      totalMs: entry.timeout.total,
    },
    extraBody: entry.extra_body,
    dropParams: entry.drop_params,
    onDisconnect: entry.on_disconnect,
    allowClientKeys: entry.allow_client_keys,
    hubUrl: entry.hub_url ?? null,
    apiVersion: entry.api_version ?? null,
    pricingUrl: entry.pricing_url ?? null,
    stagingClients: entry.staging_clients,
    validate: entry.validate,
    pricing: entry.pricing ?? null,
    limits,
    maxOutputTokens: entry.limits.max_tokens ?? null,
  };
}

function buildModel(model: ModelFile | string, validate: boolean): ModelConfig {
  if (typeof model === 'string') {
    const none = { providerModel: null, tasks: null, pricing: null, maxOutputTokens: null, contextWindow: null };
    return { id: model, ...none, limits: {}, validate };
  }
  return {
    id: model.id,
    providerModel: model.provider_model ?? null,
    tasks: model.tasks ?? null,
    pricing: model.pricing ?? null,
    limits: buildLimits(model.limits),
    maxOutputTokens: model.limits.max_tokens ?? null,
    contextWindow: model.context_window ?? null,
    validate: model.validate ?? validate,
  };
}

/** Only the limits that are set, so that a spread of one over another keeps what the first alone says. */
function buildLimits(limits: LimitsFile): LimitSettings {
  const settings: LimitSettings = {};
  if (limits.req_per_min !== undefined) settings.reqPerMin = limits.req_per_min;
  if (limits.tokens_per_min !== undefined) settings.tokensPerMin = limits.tokens_per_min;
  if (limits.req_per_day !== undefined) settings.reqPerDay = limits.req_per_day;
  if (limits.req_per_month !== undefined) settings.reqPerMonth = limits.req_per_month;
  if (limits.concurrency !== undefined) settings.concurrency = limits.concurrency;
  if (limits.session_limit !== undefined) {
    settings.sessionTokens = limits.session_limit;
    settings.sessionMs = limits.session_type;
  }
  return settings;
}

function buildClient(client: ClientFile, index: number, findings: Finding[]): ClientConfig {
  const keySha256 = client.key_sha256 ?? keyHash(client.key ?? '');
  return {
    // By content, so that the reports' name survives a change of order.
    id: client.id ?? `key-${keySha256.slice(0, 8)}`,
    keySha256,
    description: client.description ?? null,
    allowedProviders: client.allowed_providers,
    allowedModels: client.allowed_models,
    region: client.region ?? null,
    limits: buildLimits(client.limits),
    budget: buildBudget(client.budget, index, findings),
    expiresAt: client.expires_at ?? null,
    tags: client.tags,
  };
}

function buildBudget(budget: ClientFile['budget'], index: number, findings: Finding[]): ClientConfig['budget'] {
  if (budget === undefined) return null;
  const nanoUsd = toNanoUsd(budget.usd);
  if (nanoUsd === null) {
    const path = ['api_keys', index, 'budget', 'usd'];
    findings.push(errorAt(path, 'expected whole nano-USD (0.000000001 USD); this amount is finer'));
    return null;
  }
  return { nanoUsd, per: budget.per, timeZone: budget.timezone, onExceed: budget.on_exceed };
}

function buildAliases(aliases: Readonly<Record<string, AliasFile>>): Record<string, AliasConfig> {
  return Object.fromEntries(
    Object.entries(aliases).map(([name, alias]) => {
      if (typeof alias === 'string') return [name, { targets: [{ model: alias, weight: 1 }], fallback: [] }];
      const targets = alias.targets.map((target) =>
        typeof target === 'string' ? { model: target, weight: 1 } : target,
      );
      return [name, { targets, fallback: alias.fallback }];
    }),
  );
}

type Weights = PolicyConfig['hybridWeights'];

/** What `priority` means for `hybrid`; each sums to 1. */
const PRESETS: Record<PolicyFile['priority'], Weights> = {
  balanced: { tokenRatio: 0.2, reqRatio: 0.2, errorScore: 0.2, latency: 0.2, costRatio: 0.2 },
  cost: { tokenRatio: 0.1, reqRatio: 0.1, errorScore: 0.2, latency: 0.1, costRatio: 0.5 },
  req: { tokenRatio: 0.1, reqRatio: 0.5, errorScore: 0.2, latency: 0.1, costRatio: 0.1 },
  token: { tokenRatio: 0.5, reqRatio: 0.1, errorScore: 0.2, latency: 0.1, costRatio: 0.1 },
  latency: { tokenRatio: 0.1, reqRatio: 0.1, errorScore: 0.2, latency: 0.5, costRatio: 0.1 },
};

function buildPolicy(policy: PolicyFile): PolicyConfig {
  const { retry, fallback, cooldown, queue, cache, hybrid_weights: own } = policy;
  const preset = PRESETS[policy.priority];
  return {
    algorithm: policy.algorithm,
    priority: policy.priority,
    hybridWeights: {
      tokenRatio: own.token_ratio ?? preset.tokenRatio,
      reqRatio: own.req_ratio ?? preset.reqRatio,
      errorScore: own.error_score ?? preset.errorScore,
      latency: own.latency ?? preset.latency,
      costRatio: own.cost_ratio ?? preset.costRatio,
    },
    retry: {
      maxAttempts: retry.max_attempts,
      timeoutMs: retry.timeout,
      intervalMs: retry.interval,
      maxIntervalMs: retry.max_interval,
      maxWaitMs: retry.max_wait,
    },
    fallback: { enabled: fallback.enabled, maxProviders: fallback.max_providers, providers: fallback.providers },
    cooldown: { failures: cooldown.failures, windowMs: cooldown.window, openMs: cooldown.open },
    queue: { maxWaitMs: queue.max_wait, maxLength: queue.max_length },
    cache: { enabled: cache.enabled, ttlMs: cache.ttl_seconds * 1000, maxEntries: cache.max_entries },
    unpriced: policy.unpriced,
  };
}
