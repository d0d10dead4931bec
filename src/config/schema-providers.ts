import * as z from 'zod';
import { TASKS } from '../domain/task.js';
import {
  choice,
  field,
  flag,
  integer,
  limit,
  listOf,
  mapOf,
  nonEmpty,
  ratio,
  secretText,
  section,
  text,
  usd,
} from './fields.js';
import { type OTHER_PRICES, PRICE_UNITS, type TOKEN_PRICES, toPricing } from './pricing.js';
import { duration, httpUrl, sessionWindow } from './units.js';

/** `llm_providers[]`: entries, their keys, models, prices and limits. */

export const ID = /^[A-Za-z0-9._-]+$/;

// Control characters would let a value end its header and begin another.
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const limitKeys = {
  req_per_min: limit().optional().describe('Requests in any minute.'),
  tokens_per_min: limit().optional().describe('Tokens, in and out, in any minute.'),
  req_per_day: limit().optional().describe('Requests in any day.'),
  req_per_month: limit().optional().describe('Requests in any 30 days.'),
  concurrency: limit().optional().describe('Requests at once.'),
  session_limit: limit().optional().describe('Tokens per session window.'),
  session_type: sessionWindow().prefault('1h').describe('Length of the session window.'),
};

/** Limits of a key or a client. */
export const limitsSection = section(limitKeys);

/** Limits of an entry or a model: with a cap on the output. */
const cappedLimitsSection = section({
  ...limitKeys,
  max_tokens: limit().optional().describe('Caps the output tokens of a request.'),
});

const tokenPrice = (what: string) => usd().optional().describe(`USD per unit of ${what}.`);
const price = (what: string) => usd().optional().describe(`USD per ${what}.`);

const priceKeys = {
  input_token_cost: tokenPrice('input tokens'),
  output_token_cost: tokenPrice('output tokens'),
  cached_input_token_cost: tokenPrice('input tokens read from a cache; without it they cost what input costs'),
  cache_write_token_cost: tokenPrice('input tokens written to a cache'),
  reasoning_token_cost: tokenPrice('reasoning tokens; without it they cost what output costs'),
  audio_input_token_cost: tokenPrice('audio input tokens'),
  audio_output_token_cost: tokenPrice('audio output tokens'),
  request_cost: price('request'),
  search_unit_cost: price('search unit'),
  image_cost: price('image'),
  audio_minute_cost: price('minute of audio'),
  character_cost: price('character'),
} satisfies Record<keyof typeof TOKEN_PRICES | keyof typeof OTHER_PRICES, z.ZodType>;

const pricingMapping = section({
  unit: choice(PRICE_UNITS).prefault('token').describe('What token prices are given for.'),
  ...priceKeys,
  tiers: listOf(
    section({
      above_input_tokens: integer({ min: 0 }).describe(
        'Input tokens that a request must exceed for this tier to hold.',
      ),
      ...priceKeys,
    }),
    'tiers',
  )
    .prefault([])
    .describe('Other prices for long requests; keys a tier leaves out inherit.'),
}).transform((written, context) =>
  toPricing(written, (path, message) => context.addIssue({ code: 'custom', path: [...path], message })),
);

export const pricingField = z.union([
  choice(['catalog'], 'a mapping such as {input_token_cost: …, output_token_cost: …}, or `catalog`').transform(() => ({
    source: 'catalog' as const,
    rates: {},
    tiers: [],
  })),
  pricingMapping,
]);

export const modelSection = section({
  id: nonEmpty('the name clients ask for').describe('The name clients ask for.'),
  provider_model: nonEmpty('the id the provider knows').optional().describe('The id the provider knows, if another.'),
  tasks: listOf(choice(TASKS), 'tasks')
    .min(1, { error: 'expected at least one task; left out, the type decides' })
    .optional()
    .describe('What it does. Default: by the type.'),
  pricing: pricingField.optional().describe("Its price, instead of the entry's."),
  limits: cappedLimitsSection.prefault({}).describe('Limits of this model, beside those of the key.'),
  context_window: integer({ min: 1 }).optional().describe('Tokens that fit.'),
  validate: flag().optional().describe('Calls the model now and then to see that it works.'),
});

const keySection = section({
  key: secretText('a key').describe('The key.'),
  weight: ratio({ above: 0 }).prefault(1).describe('Its share of the requests.'),
  limits: limitsSection.prefault({}).describe("Its own limits; those left out are the entry's."),
});

const jsonObject = () =>
  field<Record<string, unknown>>({
    shape: { type: 'object' },
    expects: 'a mapping of parameters',
    parse: (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Record<string, unknown>)
        : undefined,
  });

const headers = mapOf(
  text({ expects: 'a header value without line breaks', pattern: HEADER_VALUE, secret: true }),
  'header names to values',
);

const tag = nonEmpty('a tag such as eu');

export const providerSection = section({
  id: text({ expects: 'an id of letters, digits, `.`, `_` and `-`', pattern: ID }).describe(
    'Unique name of the entry.',
  ),
  name: nonEmpty('a name').optional().describe('Name for people. Default: the id.'),
  type: nonEmpty('the type of the provider').describe('Which adapter speaks with it.'),
  api_keys: listOf(z.union([secretText('a key, or a mapping with key, weight, limits'), keySection]), 'keys')
    .prefault([])
    .describe('Keys that take turns. One that resolves to nothing is left out.'),
  base_url: httpUrl()
    .optional()
    .describe("Where it is. With a path it is used as written; a bare host gets the type's own path."),
  model: nonEmpty('a model').optional().describe("Default model: what the entry's id alone means."),
  models: listOf(z.union([nonEmpty('a model, or a mapping with id, tasks, pricing, …'), modelSection]), 'models')
    .optional()
    .describe('What this entry offers. Without it any model may be asked of it as `id:model`.'),
  region: tag.optional().describe('A tag that a client or a request may demand.'),
  headers: headers.prefault({}).describe('Sent upstream.'),
  weight: ratio({ above: 0 }).prefault(1).describe('Its share of the requests.'),
  timeout: section({
    connect: duration({ minMs: 1 }).prefault('5s').describe('To connect.'),
    first_byte: duration({ minMs: 1 }).prefault('60s').describe('Until the answer begins.'),
    idle: duration({ minMs: 1 }).prefault('60s').describe('Between two parts of an answer.'),
    total: duration({ minMs: 1 }).prefault('10m').describe('For everything.'),
  })
    .prefault({})
    .describe('How long each part of a call may take.'),
  extra_body: jsonObject().prefault({}).describe("Parameters merged under the client's."),
  drop_params: listOf(nonEmpty('a parameter'), 'parameters').prefault([]).describe('Parameters this provider rejects.'),
  on_disconnect: choice(['abort', 'drain'])
    .prefault('abort')
    .describe('When the client leaves mid-stream: stop the call, or read it to its end to learn its cost.'),
  allow_client_keys: flag()
    .prefault(false)
    .describe('A request may bring its own key, in the header x-waybill-provider-key.'),
  hub_url: httpUrl().optional().describe('huggingface: where models, tasks and tags are looked up.'),
  api_version: nonEmpty('a version').optional().describe('azure_openai: the API version.'),
  pricing_url: httpUrl().optional().describe('A feed of prices.'),
  staging_clients: listOf(nonEmpty('a client id'), 'client ids')
    .prefault([])
    .describe('Clients that may use mappings in staging.'),
  validate: flag().prefault(false).describe('Calls each model now and then to see that it works.'),
  pricing: pricingField.optional().describe('Its price.'),
  limits: cappedLimitsSection.prefault({}).describe('Limits of each key.'),
});

export const providersField = listOf(providerSection, 'providers, each with id, type, api_keys').min(1, {
  error: 'expected at least one provider with id, type, api_keys',
});

export type PricingFile = z.output<typeof pricingField>;
export type LimitsFile = z.output<typeof limitsSection>;
export type ModelFile = z.output<typeof modelSection>;
export type ProviderFile = z.output<typeof providerSection>;
