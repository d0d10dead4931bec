// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { check, problemsOf, withProvider } from './known-types.js';

describe('the smallest file', () => {
  const { config, problems } = check('llm_providers:\n  - { id: hf, type: huggingface, api_keys: [hf_x] }\n');

  it('loads without a word', () => {
    expect(problems).toEqual([]);
    expect(config?.providers[0]?.keys[0]?.secret.reveal()).toBe('hf_x');
  });

  it('gives every key its default', () => {
    expect(config?.server).toMatchObject({
      host: '127.0.0.1',
      port: 2906,
      adminKey: null,
      bodyLimitBytes: 20 * 1024 * 1024,
      shutdownGraceMs: 30_000,
      trustProxy: false,
      cors: { enabled: false, allowedOrigins: [], allowCredentials: false, maxAgeSeconds: 86_400 },
      webui: { enabled: true, adminId: null, adminPassword: null },
    });
    expect(config?.logging).toEqual({
      level: 'info',
      format: 'json',
      file: { enabled: false, path: './logs/waybill.log', maxSizeMb: 100, maxBackups: 5 },
      prometheus: { enabled: true, endpoint: '/metrics', public: false },
      prompts: false,
    });
    expect(config?.storage).toEqual({
      ledger: { type: 'sqlite', path: './data/waybill.db', durability: 'process', retentionDays: null },
      shared: { type: 'none' },
    });
    expect(config?.clients).toBeNull();
    expect(config?.policy).toEqual({
      algorithm: 'hybrid',
      priority: 'balanced',
      hybridWeights: { tokenRatio: 0.2, reqRatio: 0.2, errorScore: 0.2, latency: 0.2, costRatio: 0.2 },
      retry: { maxAttempts: 3, timeoutMs: 30_000, intervalMs: 1000, maxIntervalMs: 20_000, maxWaitMs: 60_000 },
      fallback: { enabled: true, maxProviders: 2, providers: [] },
      cooldown: { failures: 5, windowMs: 30_000, openMs: 60_000 },
      queue: { maxWaitMs: 10_000, maxLength: 1000 },
      cache: { enabled: false, ttlMs: 10_000, maxEntries: 10_000 },
      unpriced: 'allow',
    });
    expect(config?.catalog).toEqual({ refreshMs: 3_600_000, sources: [] });
    expect(config?.providers[0]).toMatchObject({
      name: 'hf',
      models: null,
      weight: 1,
      timeouts: { connectMs: 5000, firstByteMs: 60_000, idleMs: 60_000, totalMs: 600_000 },
      onDisconnect: 'abort',
      pricing: null,
      limits: {},
      maxOutputTokens: null,
      disabledReason: null,
    });
  });
});

describe('a whole file', () => {
  const { config, problems } = check(
    `
server: { listen: "[::1]:80", admin_api_key: adm, body_limit: 1.5mb, cors: { allowed_methods: [get] } }
llm_providers:
  - id: hf
    type: huggingface
    base_url: https://dedicated.example.com/v1/
    api_keys:
      - one
      - { key: two, weight: 2.5, limits: { req_per_min: 60 } }
    model: 3.5
    models:
      - plain
      - { id: priced, provider_model: real, tasks: [chat, feature-extraction], limits: { max_tokens: 10 }, context_window: 8192 }
    headers: { X-HF-Bill-To: my-org }
    extra_body: { seed: 7, stop: null, nested: { a: [1.5, "2", true] } }
    limits: { req_per_min: 300, tokens_per_min: 1e6, session_limit: 6000000, max_tokens: 4096 }
api_keys:
  - id: team
    key: SECRET-client-key
    allowed_models: ["gpt-*"]
    limits: { concurrency: 20 }
    expires_at: "2027-01-01T00:00:00+02:00"
    tags: { team: search, floor: 007 }
model_aliases:
  "a.b:c/D": hf:plain
  smart: { targets: [{ model: "hf:priced", weight: 3 }, plain], fallback: ["a.b:c/D"] }
policy: { priority: cost, hybrid_weights: { latency: 0.9 } }
`,
  );
  const provider = config?.providers[0];

  it('has no problem', () => expect(problems).toEqual([]));

  it('takes addresses and sizes apart', () => {
    expect(config?.server).toMatchObject({ host: '::1', port: 80, bodyLimitBytes: 1.5 * 1024 * 1024 });
    expect(config?.server.cors.allowedMethods).toEqual(['GET']);
    expect(provider?.baseUrl).toBe('https://dedicated.example.com/v1');
  });

  it("gives a key the entry's limits where it sets none of its own", () => {
    const session = { sessionTokens: 6_000_000, sessionMs: 3_600_000 };
    expect(provider?.keys.map(({ secret, weight, limits }) => [secret.reveal(), weight, limits])).toEqual([
      ['one', 1, { reqPerMin: 300, tokensPerMin: 1_000_000, ...session }],
      ['two', 2.5, { reqPerMin: 60, tokensPerMin: 1_000_000, ...session }],
    ]);
    expect(provider?.maxOutputTokens).toBe(4096);
  });

  it("lets a model's `validate` win over the entry's", () => {
    const text = withProvider('').replace(
      'one',
      'one, validate: true, models: [a, { id: b }, { id: c, validate: false }]',
    );
    expect(check(text).config?.providers[0]?.models?.map(({ validate }) => validate)).toEqual([true, true, false]);
  });

  it('reads models in short and in long', () => {
    expect(provider?.models?.[0]).toEqual({
      id: 'plain',
      providerModel: null,
      tasks: null,
      pricing: null,
      limits: {},
      maxOutputTokens: null,
      contextWindow: null,
      validate: false,
    });
    expect(provider?.models?.[1]).toMatchObject({ providerModel: 'real', maxOutputTokens: 10, contextWindow: 8192 });
  });

  it('keeps text as it was written and JSON as JSON', () => {
    expect(provider?.model).toBe('3.5');
    expect(config?.clients?.[0]?.tags).toEqual({ team: 'search', floor: '007' });
    expect(provider?.extraBody).toEqual({ seed: 7, stop: null, nested: { a: [1.5, '2', true] } });
  });

  it('keeps only the hash of a client key', () => {
    const client = config?.clients?.[0];
    expect(client?.keySha256).toBe('0db230e4e868a1173aaf2356e7330ae8aa941b319eff721bdc74bdf41c52233b');
    expect(client?.expiresAt).toBe(Date.parse('2026-12-31T22:00:00Z'));
    expect(inspect(config, { depth: null })).not.toContain('SECRET');
  });

  it('keeps aliases in both forms', () => {
    expect(config?.aliases).toEqual({
      'a.b:c/D': { targets: [{ model: 'hf:plain', weight: 1 }], fallback: [] },
      smart: {
        targets: [
          { model: 'hf:priced', weight: 3 },
          { model: 'plain', weight: 1 },
        ],
        fallback: ['a.b:c/D'],
      },
    });
  });

  it('lets a weight that is given win over the preset', () => {
    expect(config?.policy.hybridWeights).toMatchObject({ costRatio: 0.5, latency: 0.9, errorScore: 0.2 });
  });
});

describe('problems', () => {
  it('are reported all at once, with path, line and what would be right', () => {
    const text = `server:
  listen: ":99999"
  shutdown_grace: 30
  cors: []
logging: { level: wran }
llm_providers:
  - id: a b
    type: openai
    api_keys: [x]
    limits: { req_per_minute: 3, req_per_min: -1, concurrency: 1.5 }
  - type: openai
    api_keys: [x]
policy: { retry: { max_attempts: many, timeout: soon } }
`;
    expect(problemsOf(text)).toEqual([
      '2 server.listen: expected host:port, such as 127.0.0.1:2906 or :2906, with a port from 0 to 65535, got `:99999`',
      '3 server.shutdown_grace: expected a duration with its unit, such as 30s',
      '4 server.cors: expected a mapping with enabled, allowed_origins, allowed_methods, allowed_headers, allow_credentials, max_age, got a list',
      '5 logging.level: expected one of trace, debug, info, warn, error, fatal, got `wran`; did you mean `warn`?',
      '7 llm_providers[0].id: expected an id of letters, digits, `.`, `_` and `-`, got `a b`',
      '10 llm_providers[0].limits.req_per_min: expected a whole number of at least 1 (left out for no limit), got `-1`',
      '10 llm_providers[0].limits.concurrency: expected a whole number of at least 1 (left out for no limit), got `1.5`',
      '10 llm_providers[0].limits.req_per_minute: unknown key `req_per_minute`; did you mean `req_per_min`?',
      '11 llm_providers[1].id: missing; expected an id of letters, digits, `.`, `_` and `-`',
      '13 policy.retry.max_attempts: expected a whole number from 1 to 20, got `many`',
      '13 policy.retry.timeout: expected a duration <number>(ms|s|m|h|d), such as 30s, above 0, of at most 24d, got `soon`',
    ]);
  });

  it.each([
    ['a: [1\nb: 2\n', 2],
    ['llm_providers:\n\t- id: x\n', 2],
    ['a: b: c\n', 1],
    ['x: *nowhere\n', 1],
    ['', 1],
    ['# nothing\n', 1],
    ['- a\n- b\n', 1],
    ['just text', 1],
    ['a: 1\n---\nb: 2\n', 1],
    ['a: !!binary x\n', 1],
  ])('give one message for %j, which is no config', (text, line) => {
    const { config, problems } = check(text);
    expect(config).toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ severity: 'error', line, path: '' });
  });

  it('name a key that is written twice, on the line of the second', () => {
    expect(problemsOf(withProvider('policy: { unpriced: allow }\npolicy:\n  unpriced: refuse\n'))).toEqual([
      '4 policy: `policy` is written twice; keep one (the first is on line 3)',
    ]);
  });

  it('never quote a key that stands in the wrong place', () => {
    const text = withProvider('').replace('[sk-test]', 'sk-test').replace('one', '"${SECRET_ID} x"');
    const said = problemsOf(text, { SECRET_ID: 'hunter2' }).join('\n');
    expect(said).toContain('expected a list of keys, got a single value');
    expect(said).not.toMatch(/sk-test|hunter2/);
  });

  it.each([
    ['server: { body_limit: 0b }', 'server.body_limit'],
    ['server: { listen: "2906" }', 'server.listen'],
    ['server: { trust_proxy: yes }', 'server.trust_proxy'],
    ['server: { webui: { admin_id: a } }', 'server.webui.admin_password'],
    ['storage: { ledger: { type: postgres } }', 'storage.ledger.url'],
    ['storage: { ledger: { type: postgres, url: mysql://x } }', 'storage.ledger.url'],
    ['storage: { ledger: { url: postgres://x } }', 'storage.ledger.url'],
    ['storage: { ledger: { retention_days: 0 } }', 'storage.ledger.retention_days'],
    ['storage: { shared: { type: redis } }', 'storage.shared.url'],
    ['version: 2', 'version'],
    ['policy: { queue: { max_length: -1 } }', 'policy.queue.max_length'],
    ['policy: { hybrid_weights: { latency: 1.1 } }', 'policy.hybrid_weights.latency'],
    ['catalog: { refresh: 1s }', 'catalog.refresh'],
    ['catalog: { sources: [{ provider: two, kind: models }] }', 'catalog.sources[0].provider'],
    ['api_keys: [{ id: c }]', 'api_keys[0].key'],
    ['api_keys: [{ id: c, key: "" }]', 'api_keys[0].key'],
    [`api_keys: [{ id: c, key: k, key_sha256: "${'0'.repeat(64)}" }]`, 'api_keys[0].key_sha256'],
    ['api_keys: [{ key: k, expires_at: 2027-02-30 }]', 'api_keys[0].expires_at'],
    ['api_keys: [{ key: k, expires_at: "2027-01-01T00:00" }]', 'api_keys[0].expires_at'],
    ['api_keys: [{ key: k, budget: { usd: 0 } }]', 'api_keys[0].budget.usd'],
    ['api_keys: [{ key: k, budget: { usd: 1e-10 } }]', 'api_keys[0].budget.usd'],
    ['api_keys: [{ key: k, budget: { usd: 5, timezone: Europe/Belin } }]', 'api_keys[0].budget.timezone'],
    ['server: { admin_api_key: k }\napi_keys: [{ key: k }]', 'api_keys[0].key'],
    ['api_keys: [{ id: a, key: k }, { id: b, key: k }]', 'api_keys[1].key'],
    ['api_keys: [{ id: a, key: k }, { id: a, key: l }]', 'api_keys[1].id'],
    ['api_keys: [{ key: k, allowed_providers: [tow] }]', 'api_keys[0].allowed_providers[0]'],
    ['policy: { fallback: { providers: [tow] } }', 'policy.fallback.providers[0]'],
  ])('refuse %s', (rest, path) => {
    const errors = check(withProvider(`${rest}\n`)).problems.filter(({ severity }) => severity === 'error');
    expect(errors.map((problem) => problem.path)).toEqual([path]);
  });

  it.each([
    ['id: one', 'llm_providers[1].id'],
    ['id: x, base_url: "ftp://h"', 'llm_providers[1].base_url'],
    ['id: x, base_url: "https://user:pw@h/v1"', 'llm_providers[1].base_url'],
    ['id: x, headers: { "bad name": x }', 'llm_providers[1].headers["bad name"]'],
    ['id: x, headers: { ok: "a\\r\\nb: c" }', 'llm_providers[1].headers.ok'],
    ['id: x, weight: 0', 'llm_providers[1].weight'],
    ['id: x, timeout: { connect: 0s }', 'llm_providers[1].timeout.connect'],
    ['id: x, timeout: { total: 100d }', 'llm_providers[1].timeout.total'],
    ['id: x, extra_body: { seed: 12345678901234567890 }', 'llm_providers[1].extra_body.seed'],
    ['id: x, limits: { session_limit: 5, session_type: 5s }', 'llm_providers[1].limits.session_type'],
    ['id: x, models: [m, m]', 'llm_providers[1].models[1]'],
    ['id: x, models: [{ id: m, tasks: [] }]', 'llm_providers[1].models[0].tasks'],
    ['id: x, models: [{ id: m, tasks: [chatt] }]', 'llm_providers[1].models[0].tasks[0]'],
  ])('refuse a provider with %s', (keys, path) => {
    const text = withProvider(`  - { type: openai, api_keys: [k], ${keys} }\n`);
    expect(problemsOf(text).map((line) => line.split(': ')[0])).toEqual([`3 ${path}`]);
  });

  it('refuse the same key twice in an entry', () => {
    expect(problemsOf(withProvider('').replace('[sk-test]', '[a, b, { key: a }]'))).toEqual([
      '2 llm_providers[0].api_keys[2]: the same key as api_keys[0]; give it once',
    ]);
  });

  it('bound what a document of aliases can grow to', () => {
    const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let n = 1; n < 9; n += 1) {
      const refs = Array.from({ length: 10 }, () => `*a${n - 1}`).join(', ');
      rows.push(`a${n}: &a${n} [${refs}]`);
    }
    expect(problemsOf(rows.join('\n')).join('\n')).toContain('more than 200000 values');
  });
});

describe('types of providers', () => {
  it('are known by alias too, and kept by their own name', () => {
    expect(check(withProvider('').replace('type: openai', 'type: open-ai')).config?.providers[0]?.type).toBe('openai');
  });

  it('that are unknown are errors with the nearest name', () => {
    expect(problemsOf(withProvider('').replace('type: openai', 'type: openia'))).toEqual([
      '2 llm_providers[0].type: unknown type `openia`; did you mean `openai`?',
    ]);
  });

  it('that are modules nobody loaded leave their entry aside', () => {
    const { config, problems } = check(withProvider('').replace('type: openai', 'type: ./mine.js'));
    expect(problems).toMatchObject([{ severity: 'warning', message: expect.stringContaining('is not loaded here') }]);
    expect(config?.providers[0]?.disabledReason).toBe('its module ./mine.js was not loaded');
  });

  it('without a URL of their own need one, inline ones do not', () => {
    expect(problemsOf('llm_providers: [{ id: x, type: openai_compatible }]')).toEqual([
      '1 llm_providers[0].base_url: missing; the type `openai_compatible` needs it, such as https://host/v1',
    ]);
    expect(problemsOf('llm_providers: [{ id: x, type: sandbox }]')).toEqual([]);
  });

  it('may warn about an entry themselves', () => {
    const text = withProvider('').replace(
      'type: openai',
      'type: huggingface, base_url: "https://api-inference.huggingface.co"',
    );
    expect(problemsOf(text)).toEqual(['2 llm_providers[0].base_url: warning: this host answers 410 Gone']);
  });
});

describe('open mode', () => {
  it.each(['127.0.0.1:1', 'localhost:1', '[::1]:1', '127.8.0.1:1'])('is allowed on %s', (listen) => {
    expect(problemsOf(withProvider(`server: { listen: "${listen}" }\n`))).toEqual([]);
  });

  it.each([':2906', '0.0.0.0:2906', '[::]:2906', '192.168.0.5:2906', 'example.com:80'])(
    'is refused on %s',
    (listen) => {
      expect(problemsOf(withProvider(`server: { listen: "${listen}" }\n`))).toEqual([
        expect.stringMatching(/^3 server\.listen: without `api_keys` anyone/),
      ]);
    },
  );

  it('is not what an empty list of clients means', () => {
    const { config, problems } = check(withProvider('server: { listen: ":1" }\napi_keys: []\n'));
    expect(config?.clients).toEqual([]);
    expect(problems).toMatchObject([{ severity: 'warning', path: 'api_keys' }]);
  });
});

describe('the variable PORT', () => {
  it('overrides the port and keeps the host', () => {
    expect(check(withProvider('server: { listen: "localhost:1" }\n'), { PORT: '8080' }).config?.server).toMatchObject({
      host: 'localhost',
      port: 8080,
    });
  });

  it('is checked', () => {
    expect(problemsOf(withProvider(''), { PORT: 'http' })[0]).toContain('PORT is `http`');
  });
});

describe('clients', () => {
  it('without an id are named by their key, wherever they stand', () => {
    const first = check(withProvider('api_keys: [{ key: a }, { key: b }]\n')).config?.clients;
    const second = check(withProvider('api_keys: [{ key: b }, { key: a }]\n')).config?.clients;
    expect(first?.[0]?.id).toMatch(/^key-[0-9a-f]{8}$/);
    expect(second?.map(({ id }) => id)).toEqual(first?.map(({ id }) => id).reverse());
  });

  it('that have expired are named', () => {
    expect(problemsOf(withProvider('api_keys: [{ key: a, expires_at: 2026-05-31 }]\n'))).toEqual([
      '3 api_keys[0].expires_at: warning: this client has expired, and is refused',
    ]);
  });

  it('are never given credentials for every origin', () => {
    const text = withProvider('server: { cors: { allowed_origins: ["*"], allow_credentials: true } }\n');
    expect(check(text).problems).toMatchObject([{ severity: 'warning', path: 'server.cors.allow_credentials' }]);
    expect(check(text).config?.server.cors.allowCredentials).toBe(false);
  });
});

describe('JSON', () => {
  it('is read as well', () => {
    const text = JSON.stringify({
      llm_providers: [{ id: 'a', type: 'ollama', weight: 2, pricing: { input_token_cost: 2e-7 } }],
    });
    const provider = check(text).config?.providers[0];
    expect(provider?.weight).toBe(2);
    expect(provider?.pricing?.rates).toEqual({ input: 200_000_000n });
  });
});

describe('a value that contains itself', () => {
  it.each([
    ['llm_providers: &a [*a]\n', '1 : the value at `llm_providers[0]` contains itself'],
    ['server: {}\nx: &a\n  b:\n    - 1\n    - { c: *a }\n', '5 : the value at `x.b[1].c` contains itself'],
    ['&root\nserver: *root\n', '2 : the value at `server` contains itself'],
    ['x: &a { <<: { y: [*a] } }\n', '1 : the value at `x.y[0]` contains itself'],
  ])('is one finding, on its line: %j', (text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  it('is told apart from aliases that nest values too deeply, which is one finding too', () => {
    const nested = (inner: string) => `${'['.repeat(50)}${inner}${']'.repeat(50)}`;
    const lines = Array.from({ length: 900 }, (_, n) => `a${n}: &a${n} ${nested(n === 0 ? '1' : `*a${n - 1}`)}\n`);
    const problems = problemsOf(lines.join(''));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^4 : more than 200 values stand within each other/);
  });

  it('is not what an alias used twice is', () => {
    const models = 'models: &models [{ id: m }]';
    const text = `llm_providers:\n  - { id: a, type: ollama, ${models} }\n  - { id: b, type: ollama, models: *models }\n`;
    expect(check(text).config?.providers.map(({ models: own }) => own?.map(({ id }) => id))).toEqual([['m'], ['m']]);
  });
});

describe('entries that take keys which requests bring', () => {
  const own = (rest: string) =>
    check(`llm_providers: [{ id: own, type: openai, model: m, allow_client_keys: true${rest} }]`);

  it('need none of their own', () => {
    for (const rest of ['', ', api_keys: []']) {
      const { config, problems } = own(rest);
      expect(problems).toEqual([]);
      expect(config?.providers[0]).toMatchObject({ disabledReason: null, keys: [], allowClientKeys: true });
    }
  });

  it('are warned of a header that would go over those', () => {
    const { problems } = own(', headers: { Authorization: Bearer x, X-Other: y }');
    expect(problems).toMatchObject([{ severity: 'warning', path: 'llm_providers[0].headers.Authorization' }]);
  });
});
