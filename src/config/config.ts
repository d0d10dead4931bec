import type { LimitSettings } from '../domain/limit.js';
import type { NanoUsd } from '../domain/money.js';
import type { PriceTier, Rates } from '../domain/pricing.js';
import type { ProviderAdapter } from '../domain/provider.js';
import type { TimeoutSettings } from '../domain/route.js';
import type { Secret } from '../domain/secret.js';
import type { JsonObject, Task } from '../domain/task.js';

/**
 * The config file as the program uses it: every default filled in, durations in milliseconds, sizes in bytes, prices
 * exact, secrets wrapped. Built by `parseConfig` only, and never changed afterwards.
 */
export interface Config {
  server: ServerConfig;
  logging: LoggingConfig;
  storage: StorageConfig;
  providers: ProviderConfig[];
  /** Adapters of types that are not built in, by the `type` that names their module. */
  modules: ReadonlyMap<string, ProviderAdapter>;
  /** Null: open mode, every caller is the client `open`; only when listening on loopback. */
  clients: ClientConfig[] | null;
  aliases: Record<string, AliasConfig>;
  policy: PolicyConfig;
  catalog: CatalogConfig;
}

export interface ServerConfig {
  /** Host to bind: `127.0.0.1`, `::1`, `0.0.0.0`, … */
  host: string;
  port: number;
  adminKey: Secret | null;
  bodyLimitBytes: number;
  shutdownGraceMs: number;
  trustProxy: boolean;
  cors: {
    enabled: boolean;
    allowedOrigins: string[];
    allowedMethods: string[];
    allowedHeaders: string[];
    allowCredentials: boolean;
    maxAgeSeconds: number;
  };
  webui: { enabled: boolean; adminId: string | null; adminPassword: Secret | null };
}

export interface LoggingConfig {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  format: 'json' | 'pretty';
  file: { enabled: boolean; path: string; maxSizeMb: number; maxBackups: number };
  prometheus: { enabled: boolean; endpoint: string; public: boolean };
  prompts: boolean;
}

export interface StorageConfig {
  ledger:
    | { type: 'sqlite'; path: string; durability: 'process' | 'power'; retentionDays: number | null }
    | { type: 'postgres'; url: Secret; pool: number; durability: 'process' | 'power'; retentionDays: number | null };
  shared: { type: 'none' } | { type: 'redis'; url: Secret; onFailure: 'local' | 'refuse'; leaseMs: number };
}

export interface PricingConfig {
  /** `catalog`: taken from the catalogue instead. */
  source: 'config' | 'catalog';
  rates: Rates;
  tiers: PriceTier[];
}

export interface ProviderConfig {
  id: string;
  name: string;
  type: string;
  /** Empty with `disabledReason` set when no key resolved. */
  keys: Array<{ secret: Secret; weight: number; limits: LimitSettings }>;
  /** Why this entry takes no part; null when it does. */
  disabledReason: string | null;
  baseUrl: string | null;
  /** Default model: what `provider_id` alone means. */
  model: string | null;
  /** Null: any model may be asked of it by `id:model`. */
  models: ModelConfig[] | null;
  region: string | null;
  headers: Record<string, string>;
  weight: number;
  timeouts: TimeoutSettings;
  extraBody: JsonObject;
  dropParams: string[];
  onDisconnect: 'abort' | 'drain';
  allowClientKeys: boolean;
  hubUrl: string | null;
  apiVersion: string | null;
  pricingUrl: string | null;
  stagingClients: string[];
  validate: boolean;
  pricing: PricingConfig | null;
  /** Per key. */
  limits: LimitSettings;
  /** Caps the output tokens of a request. */
  maxOutputTokens: number | null;
}

export interface ModelConfig {
  id: string;
  providerModel: string | null;
  /** Null: by the provider's type. */
  tasks: Task[] | null;
  pricing: PricingConfig | null;
  limits: LimitSettings;
  maxOutputTokens: number | null;
  contextWindow: number | null;
  validate: boolean;
}

export interface ClientConfig {
  id: string;
  /** SHA-256 of the key, lower-case hex. The key itself is not kept. */
  keySha256: string;
  description: string | null;
  allowedProviders: string[];
  allowedModels: string[];
  region: string | null;
  limits: LimitSettings;
  budget: BudgetConfig | null;
  /** Epoch milliseconds. */
  expiresAt: number | null;
  tags: Record<string, string>;
}

export interface BudgetConfig {
  nanoUsd: NanoUsd;
  per: 'day' | 'week' | 'month' | 'total';
  timeZone: string;
  onExceed: 'refuse' | 'warn';
}

export interface AliasConfig {
  targets: Array<{ model: string; weight: number }>;
  fallback: string[];
}

export type Algorithm = 'round_robin' | 'least_loaded' | 'hybrid' | 'weighted' | 'lowest_cost' | 'lowest_latency';

export interface PolicyConfig {
  algorithm: Algorithm;
  priority: 'balanced' | 'cost' | 'req' | 'token' | 'latency';
  hybridWeights: { tokenRatio: number; reqRatio: number; errorScore: number; latency: number; costRatio: number };
  retry: { maxAttempts: number; timeoutMs: number; intervalMs: number; maxIntervalMs: number; maxWaitMs: number };
  fallback: { enabled: boolean; maxProviders: number; providers: string[] };
  cooldown: { failures: number; windowMs: number; openMs: number };
  queue: { maxWaitMs: number; maxLength: number };
  cache: { enabled: boolean; ttlMs: number; maxEntries: number };
  unpriced: 'allow' | 'refuse';
}

export interface CatalogConfig {
  refreshMs: number;
  sources: Array<{ provider: string; kind: 'models' | 'hub' | 'pricing'; everyMs: number | null }>;
}

/** One finding about a config file. `path` is like `llm_providers[0].limits.req_per_min`; `line` is from 1. */
export interface ConfigProblem {
  severity: 'error' | 'warning';
  path: string;
  line: number;
  message: string;
}
