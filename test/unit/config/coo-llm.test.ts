// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { describe, expect, it } from 'vitest';
import { check } from './known-types.js';

/** A file as its users write it: every key COO-LLM has. */
const COO_LLM = `
version: "1.0"
server:
  listen: ":2906"
  admin_api_key: "\${ADMIN_API_KEY}"
  cors:
    enabled: true
    allowed_origins: ["*"]
    allowed_methods: ["GET", "POST"]
    allowed_headers: ["*"]
    allow_credentials: true
    max_age: 86400
  webui:
    enabled: true
    admin_id: "admin"
    admin_password: "password"
    web_ui_path: "/ui"
logging:
  file: { enabled: true, path: "./logs/llm.log", max_size_mb: 100, max_backups: 5 }
  prometheus: { enabled: true, endpoint: "/metrics" }
  providers: []
storage:
  config: { type: "file", path: "./data/config.json" }
  runtime: { type: "sql", addr: "./data/coo-llm.db", table_usage: "usage" }
llm_providers:
  - id: "openai"
    type: "openai"
    api_keys: ["\${OPENAI_API_KEY}"]
    model: "gpt-4o"
    pricing: { input_token_cost: 0.0000025, output_token_cost: 0.00001 }
    limits: { req_per_min: 200, tokens_per_min: 100000, max_tokens: 4096, session_limit: 1000, session_type: "5h" }
  - id: "claude"
    name: "Claude"
    type: "claude"
    api_keys: ["\${CLAUDE_API_KEY}"]
    base_url: "https://api.anthropic.com"
    model: "claude-3-opus-20240229"
  - id: local
    type: custom
    api_keys: ["x"]
    base_url: http://127.0.0.1:8000
providers:
  - { id: old, base_url: x, keys: [{ id: k, secret: s, limit_req_per_min: 5 }] }
api_keys:
  - key: "client-key"
    allowed_providers: ["*"]
    description: "Default API key"
model_aliases: { "gpt-4o": "openai:gpt-4o", "opus": "claude:claude-3-opus-20240229" }
policy:
  strategy: "hybrid"
  priority: "balanced"
  hybrid_weights: { token_ratio: 0.2, req_ratio: 0.2, error_score: 0.2, latency: 0.2, cost_ratio: 0.2 }
  retry: { max_attempts: 3, timeout: "30s", interval: "1s" }
  fallback: { enabled: true, max_providers: 2, providers: ["openai", "claude"] }
  cache: { enabled: true, ttl_seconds: 10, semantic_enabled: false, embedding_model: "e", similarity_threshold: 0.9 }
`;

describe('a file written for COO-LLM', () => {
  const env = { ADMIN_API_KEY: 'adm', OPENAI_API_KEY: 'sk-1', CLAUDE_API_KEY: 'sk-2' };
  const { config, problems } = check(COO_LLM, env);

  it('loads', () => {
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.server).toMatchObject({ host: '0.0.0.0', port: 2906 });
    expect(config?.providers.map(({ id, type }) => [id, type])).toEqual([
      ['openai', 'openai'],
      ['claude', 'claude'],
      ['local', 'openai_compatible'],
    ]);
    expect(config?.providers[0]).toMatchObject({
      maxOutputTokens: 4096,
      limits: { reqPerMin: 200, sessionTokens: 1000, sessionMs: 18_000_000 },
      pricing: { rates: { input: 2_500_000_000n, output: 10_000_000_000n } },
    });
    expect(config?.policy.algorithm).toBe('hybrid');
    expect(config?.storage.ledger).toMatchObject({ type: 'sqlite', path: './data/coo-llm.db' });
  });

  it('names each key that is ignored or replaced, on its line', () => {
    const told = problems.map(({ path }) => path);
    for (const path of [
      'server.webui.web_ui_path',
      'logging.providers',
      'storage.config',
      'storage.runtime.table_usage',
      'providers',
      'llm_providers[2].type',
      'policy.strategy',
      'policy.cache.semantic_enabled',
      'policy.cache.embedding_model',
      'policy.cache.similarity_threshold',
    ]) {
      expect(told).toContain(path);
    }
    const line = COO_LLM.split('\n').findIndex((text) => text.includes('web_ui_path')) + 1;
    expect(problems.find(({ path }) => path === 'server.webui.web_ui_path')?.line).toBe(line);
    expect(problems.find(({ path }) => path === 'providers')?.message).toContain('`llm_providers` replaces it');
  });
});

describe('storage.runtime', () => {
  const storageOf = (runtime: string, more = '') =>
    check(`llm_providers: [{ id: o, type: ollama }]\nstorage: { runtime: ${runtime}${more} }\n`);

  it.each([
    ['{ type: sql, addr: ./x.db }', { type: 'sqlite', path: './x.db' }],
    ['{ type: sql, addr: "sqlite://./x.db" }', { type: 'sqlite', path: './x.db' }],
    ['{ type: sql }', { type: 'sqlite', path: './data/waybill.db' }],
    ['{ type: memory }', { type: 'sqlite', path: './data/waybill.db' }],
    ['{ type: mongodb, addr: "mongodb://h" }', { type: 'sqlite', path: './data/waybill.db' }],
  ])('%s is a ledger', (runtime, ledger) => {
    expect(storageOf(runtime).config?.storage.ledger).toMatchObject(ledger);
  });

  it.each([
    ['"postgres://u:p@h/d"', 'postgres://u:p@h/d'],
    [
      '"host=h user=u password=p@ss dbname=d port=5433 sslmode=disable"',
      'postgres://u:p%40ss@h:5433/d?sslmode=disable',
    ],
  ])('sql with the DSN %s is PostgreSQL', (addr, url) => {
    const ledger = storageOf(`{ type: sql, addr: ${addr} }`).config?.storage.ledger;
    expect(ledger?.type === 'postgres' && ledger.url.reveal()).toBe(url);
  });

  it('redis is shared state', () => {
    const { config } = storageOf('{ type: redis, addr: "h:6379", password: "p w", database: 2 }');
    const shared = config?.storage.shared;
    expect(shared?.type === 'redis' && shared.url.reveal()).toBe('redis://:p%20w@h:6379/2');
  });

  it('gives way to storage.ledger', () => {
    const { config, problems } = storageOf('{ type: sql, addr: ./x.db }', ', ledger: { path: ./y.db }');
    expect(config?.storage.ledger).toMatchObject({ path: './y.db' });
    expect(problems).toMatchObject([{ severity: 'warning', path: 'storage.runtime' }]);
  });
});

describe('a file as COO-LLM saves it', () => {
  const saved = `
llm_providers:
  - id: openai
    type: openai
    name: ""
    api_keys: [sk-1]
    base_url: ""
    model: ""
    pricing: { input_token_cost: 0.0000025, output_token_cost: 0.00001, currency: USD }
    limits: { req_per_min: 0, tokens_per_min: 0, max_tokens: 0, session_limit: 0, session_type: "" }
policy:
  algorithm: ""
  priority: ""
  retry: { max_attempts: 0, timeout: 0s, interval: 0s }
  fallback: { enabled: true, max_providers: 0, providers: [] }
  cache: { enabled: false, ttl_seconds: 0 }
`;

  it('loads: what was never set counts as left out, each with a warning', () => {
    const { config, problems } = check(saved);
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.providers[0]).toMatchObject({ limits: {}, maxOutputTokens: null, model: null });
    expect(config?.policy).toEqual(check('llm_providers: [{ id: a, type: ollama }]').config?.policy);
    const told = problems.map(({ path }) => path);
    for (const key of ['req_per_min', 'tokens_per_min', 'max_tokens', 'session_limit', 'session_type']) {
      expect(told).toContain(`llm_providers[0].limits.${key}`);
    }
    for (const path of ['policy.fallback.max_providers', 'policy.retry.timeout', 'llm_providers[0].pricing.currency']) {
      expect(told).toContain(path);
    }
  });

  it('does not load with prices in another currency', () => {
    const { config, problems } = check(saved.replace('USD', 'EUR'));
    expect(config).toBeNull();
    expect(problems.filter(({ severity }) => severity === 'error')).toMatchObject([
      { path: 'llm_providers[0].pricing.currency', line: 9 },
    ]);
  });

  it('leaves a limit of 0 an error where COO-LLM has none: of a client', () => {
    const text = `${saved}api_keys: [{ id: c, key: k, limits: { req_per_min: 0 } }]\n`;
    expect(check(text).config).toBeNull();
  });
});
