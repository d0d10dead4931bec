import type * as z from 'zod';
import { choice, flag, integer, listOf, nonEmpty, ratio, section } from './fields.js';
import { duration } from './units.js';

/** `policy` and `catalog`. */

export const ALGORITHMS = [
  'round_robin',
  'least_loaded',
  'hybrid',
  'weighted',
  'lowest_cost',
  'lowest_latency',
] as const;

const share = (what: string) =>
  ratio({ min: 0, max: 1 }).optional().describe(`Weight of ${what}. Default: by priority.`);

export const policySection = section({
  algorithm: choice(ALGORITHMS).prefault('hybrid').describe('How one of several targets is picked.'),
  priority: choice(['balanced', 'cost', 'req', 'token', 'latency'])
    .prefault('balanced')
    .describe('Presets for the weights of `hybrid`.'),
  hybrid_weights: section({
    token_ratio: share('used tokens'),
    req_ratio: share('used requests'),
    error_score: share('errors'),
    latency: share('latency'),
    cost_ratio: share('cost'),
  })
    .prefault({})
    .describe('Weights of `hybrid`; those given win over the preset.'),
  retry: section({
    max_attempts: integer({ min: 1, max: 20 }).prefault(3).describe('Calls a request may make.'),
    timeout: duration({ minMs: 1 }).prefault('30s').describe('One call, up to its first byte.'),
    interval: duration().prefault('1s').describe('First wait before a retry; doubled each time, with jitter.'),
    max_interval: duration().prefault('20s').describe('Longest of these waits.'),
    max_wait: duration().prefault('60s').describe('All waiting of a request.'),
  })
    .prefault({})
    .describe('What happens after a failed call.'),
  fallback: section({
    enabled: flag().prefault(true).describe('Tries other targets.'),
    max_providers: integer({ min: 1, max: 20 }).prefault(2).describe('Other providers a request may reach.'),
    providers: listOf(nonEmpty('a provider id'), 'provider ids')
      .prefault([])
      .describe('Where a request that names its provider may go instead.'),
  })
    .prefault({})
    .describe('Other targets after a failure.'),
  cooldown: section({
    failures: integer({ min: 1 }).prefault(5).describe('Failures in the window that open the breaker of a target.'),
    window: duration({ minMs: 1 }).prefault('30s').describe('The window.'),
    open: duration({ minMs: 1 }).prefault('60s').describe('How long the target is left alone.'),
  })
    .prefault({})
    .describe('When a target is left alone.'),
  queue: section({
    max_wait: duration().prefault('10s').describe('How long a request may wait for room within the limits.'),
    max_length: integer({ min: 0 }).prefault(1000).describe('Requests that may wait.'),
  })
    .prefault({})
    .describe('Waiting for room.'),
  cache: section({
    enabled: flag().prefault(false).describe('Answers the same request of the same client from memory.'),
    ttl_seconds: integer({ min: 1, max: 86_400 }).prefault(10).describe('Seconds an answer is kept.'),
    max_entries: integer({ min: 1 }).prefault(10_000).describe('Answers kept.'),
  })
    .prefault({})
    .describe('A cache of answers.'),
  unpriced: choice(['allow', 'refuse'])
    .prefault('allow')
    .describe('A request whose cost would be unknown. A client with a budget is always refused.'),
});

export const catalogSection = section({
  refresh: duration({ minMs: 60_000 }).prefault('1h').describe('How often the catalogue is read anew; at least 1m.'),
  sources: listOf(
    section({
      provider: nonEmpty('a provider id').describe('The entry it is read from.'),
      kind: choice(['models', 'hub', 'pricing']).describe('What is read.'),
      every: duration({ minMs: 60_000 }).optional().describe('How often. Default: `refresh`.'),
    }),
    'sources',
  )
    .prefault([])
    .describe('What is read. Default: every enabled provider that can.'),
});

export type PolicyFile = z.output<typeof policySection>;
export type CatalogFile = z.output<typeof catalogSection>;
