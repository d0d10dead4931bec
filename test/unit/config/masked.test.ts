import { describe, expect, it } from 'vitest';
import { maskedConfig } from '../../../src/config/masked.js';
import { check } from './known-types.js';

describe('the effective config, masked', () => {
  const { config } = check(`
server: { admin_api_key: SECRET-admin, webui: { admin_id: a, admin_password: SECRET-password } }
storage:
  ledger: { type: postgres, url: "postgres://u:SECRET-db@h/d" }
  shared: { type: redis, url: "redis://:SECRET-redis@h" }
llm_providers:
  - id: hf
    type: huggingface
    api_keys: [SECRET-one, { key: SECRET-two, limits: { req_per_min: 5 } }]
    headers: { Authorization: SECRET-header, X-HF-Bill-To: my-org }
    extra_body: { nested: { api_key: SECRET-body }, max_tokens: 5 }
    pricing: { input_token_cost: 0.0000002, image_cost: 0.04, tiers: [{ above_input_tokens: 9, input_token_cost: 0.0000004 }] }
api_keys: [{ id: c, key: SECRET-client, budget: { usd: "50.00" }, expires_at: 2030-01-01 }]
`);
  if (config === null) throw new Error('the file of this test does not load');
  const masked = JSON.parse(JSON.stringify(maskedConfig(config)));

  it('holds no secret, nor the hash of one', () => {
    const text = JSON.stringify(masked);
    expect(text).not.toContain('SECRET');
    expect(text).not.toContain(config.clients?.[0]?.keySha256);
    expect(text).toContain('[redacted]');
  });

  it("speaks in the file's own words", () => {
    expect(masked).toMatchObject({
      server: { admin_api_key: '[redacted]', webui: { admin_id: 'a', admin_password: '[redacted]' } },
      storage: { ledger: { type: 'postgres', url: '[redacted]' } },
      llm_providers: [
        {
          id: 'hf',
          api_keys: [{ key: '[redacted]' }, { key: '[redacted]', limits: { req_per_min: 5 } }],
          headers: { Authorization: '[redacted]', 'X-HF-Bill-To': 'my-org' },
          extra_body: { nested: { api_key: '[redacted]' }, max_tokens: 5 },
          pricing: {
            unit: '1m_tokens',
            input_token_cost: '0.2',
            image_cost: '0.04',
            tiers: [{ above_input_tokens: 9, input_token_cost: '0.4' }],
          },
        },
      ],
      api_keys: [{ id: 'c', budget: { usd: '50', per: 'month' }, expires_at: '2030-01-01T00:00:00.000Z' }],
      policy: { retry: { max_attempts: 3 } },
    });
  });
});
