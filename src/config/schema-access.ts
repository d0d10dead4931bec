import * as z from 'zod';
import { choice, field, listOf, mapOf, nonEmpty, ratio, secretText, section, text, usd } from './fields.js';
import { ID, limitsSection } from './schema-providers.js';
import { instant, timeZone } from './units.js';

/** `api_keys[]` (clients) and `model_aliases`. */

export const clientSection = section({
  id: text({ expects: 'an id of letters, digits, `.`, `_` and `-`', pattern: ID })
    .optional()
    .describe('Unique name; reports use it. Default: made from the key.'),
  key: secretText('a key').optional().describe('The key the client presents.'),
  key_sha256: field({
    shape: { type: 'string', pattern: '^[0-9a-fA-F]{64}$' },
    expects: 'the SHA-256 of the key: 64 hex digits',
    secret: true,
    parse: (value) => (typeof value === 'string' && /^[0-9a-fA-F]{64}$/.test(value) ? value.toLowerCase() : undefined),
  })
    .optional()
    .describe('Instead of the key, its SHA-256 in hex.'),
  description: text().optional().describe('For people.'),
  allowed_providers: listOf(nonEmpty('a provider id or `*`'), 'provider ids')
    .prefault(['*'])
    .describe('Providers it may use; "*" for all.'),
  allowed_models: listOf(nonEmpty('a model name or a pattern such as `gpt-*`'), 'model names')
    .prefault(['*'])
    .describe('Models it may use, as globs.'),
  region: nonEmpty('a tag such as eu').optional().describe('Only providers with this region.'),
  limits: limitsSection.prefault({}).describe('Limits of this client.'),
  budget: section({
    usd: usd({ positive: true }).describe('The most it may spend in a period.'),
    per: choice(['day', 'week', 'month', 'total']).prefault('month').describe('The period.'),
    timezone: timeZone().prefault('UTC').describe('Where the period begins at midnight.'),
    on_exceed: choice(['refuse', 'warn']).prefault('refuse').describe('What happens when it would be exceeded.'),
  })
    .optional()
    .describe('A ceiling on its spending.'),
  expires_at: instant().optional().describe('From then on the key is refused.'),
  tags: mapOf(text(), 'names to values').prefault({}).describe('Stored with each request; reports can group by them.'),
});

const targetSection = section({
  model: nonEmpty('a model such as `provider:model`').describe('`provider:model`, a model, or another alias.'),
  weight: ratio({ above: 0 }).prefault(1).describe('Its share of the requests.'),
});

export const aliasField = z.union([
  nonEmpty('a model such as `provider:model`, or a mapping with targets, fallback'),
  section({
    targets: listOf(z.union([nonEmpty('a model, or a mapping with model, weight'), targetSection]), 'targets')
      .min(1, { error: 'expected at least one target' })
      .describe('What the name means; requests are shared out by weight.'),
    fallback: listOf(nonEmpty('a model such as `provider:model`'), 'models')
      .prefault([])
      .describe('Tried in this order when no target answers.'),
  }),
]);

export type ClientFile = z.output<typeof clientSection>;
export type AliasFile = z.output<typeof aliasField>;
