import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { exactSum } from '../support/independent-cost.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** Usage in the words of each dialect, through the built daemon into the ledger, each cost against a computation apart. */

/** USD a token: figures that a double cannot hold, and sums that do not come out even. */
const PRICES = {
  input: '0.00000015',
  cached: '0.0000000751',
  write: '0.000000187513',
  output: '0.000000600003',
  reasoning: '0.000001100007',
  audioIn: '0.00001',
  audioOut: '0.000020000009',
};

const PRICING = {
  input_token_cost: PRICES.input,
  cached_input_token_cost: PRICES.cached,
  cache_write_token_cost: PRICES.write,
  output_token_cost: PRICES.output,
  reasoning_token_cost: PRICES.reasoning,
  audio_input_token_cost: PRICES.audioIn,
  audio_output_token_cost: PRICES.audioOut,
};

const BARE = { input_token_cost: PRICES.input, output_token_cost: PRICES.output };

const TIERED = {
  ...BARE,
  cached_input_token_cost: PRICES.cached,
  tiers: [
    { above_input_tokens: 1_000, input_token_cost: '0.0000003', output_token_cost: '0.0000009' },
    { above_input_tokens: 100, input_token_cost: '0.0000002' },
  ],
};

type Counts = Partial<Record<(typeof CLASSES)[number], number>>;
const CLASSES = ['input', 'cached_input', 'cache_write', 'output', 'reasoning', 'audio_input', 'audio_output'] as const;

interface Case {
  name: string;
  /** Which entry, and so which prices. */
  entry?: 'full' | 'bare' | 'tiered' | 'by-request';
  usage: object;
  counts: Counts;
  source?: 'reported' | 'estimated';
  terms: ReadonlyArray<readonly [number, string]> | null;
  providerCostUsd?: string;
}

const { input: IN, cached: CACHED, write: WRITE, output: OUT, reasoning: THINK, audioIn, audioOut } = PRICES;

const CASES: readonly Case[] = [
  {
    name: 'OpenAI: cached tokens within the prompt',
    usage: { prompt_tokens: 1001, completion_tokens: 77, prompt_tokens_details: { cached_tokens: 333 } },
    counts: { input: 668, cached_input: 333, output: 77 },
    terms: [
      [668, IN],
      [333, CACHED],
      [77, OUT],
    ],
  },
  {
    name: 'Together: cached tokens at the top',
    usage: { prompt_tokens: 500, completion_tokens: 10, cached_tokens: 123 },
    counts: { input: 377, cached_input: 123, output: 10 },
    terms: [
      [377, IN],
      [123, CACHED],
      [10, OUT],
    ],
  },
  {
    name: 'DeepSeek: hits and misses of the prompt cache, said twice and counted once',
    usage: {
      prompt_tokens: 500,
      completion_tokens: 10,
      prompt_cache_hit_tokens: 200,
      prompt_cache_miss_tokens: 300,
      prompt_tokens_details: { cached_tokens: 200 },
    },
    counts: { input: 300, cached_input: 200, output: 10 },
    terms: [
      [300, IN],
      [200, CACHED],
      [10, OUT],
    ],
  },
  {
    name: 'OpenRouter: tokens written to a cache beside those read from it',
    usage: {
      prompt_tokens: 1000,
      completion_tokens: 5,
      prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 600 },
    },
    counts: { input: 300, cached_input: 100, cache_write: 600, output: 5 },
    terms: [
      [300, IN],
      [100, CACHED],
      [600, WRITE],
      [5, OUT],
    ],
  },
  {
    name: 'reasoning within the completion',
    usage: {
      prompt_tokens: 20,
      completion_tokens: 90,
      total_tokens: 110,
      completion_tokens_details: { reasoning_tokens: 64 },
    },
    counts: { input: 20, output: 26, reasoning: 64 },
    terms: [
      [20, IN],
      [26, OUT],
      [64, THINK],
    ],
  },
  {
    name: 'xAI: reasoning beside the completion, as the total tells',
    usage: {
      prompt_tokens: 20,
      completion_tokens: 26,
      total_tokens: 110,
      completion_tokens_details: { reasoning_tokens: 64 },
    },
    counts: { input: 20, output: 26, reasoning: 64 },
    terms: [
      [20, IN],
      [26, OUT],
      [64, THINK],
    ],
  },
  {
    name: 'reasoning without a price of its own costs what output costs',
    entry: 'bare',
    usage: { prompt_tokens: 20, completion_tokens: 90, completion_tokens_details: { reasoning_tokens: 64 } },
    counts: { input: 20, output: 26, reasoning: 64 },
    terms: [
      [20, IN],
      [90, OUT],
    ],
  },
  {
    name: 'cached input without a price of its own costs what input costs',
    entry: 'bare',
    usage: { prompt_tokens: 20, completion_tokens: 9, prompt_tokens_details: { cached_tokens: 15 } },
    counts: { input: 5, cached_input: 15, output: 9 },
    terms: [
      [20, IN],
      [9, OUT],
    ],
  },
  {
    name: 'cache writes without a price make the cost unknown',
    entry: 'bare',
    usage: { prompt_tokens: 20, completion_tokens: 9, prompt_tokens_details: { cache_write_tokens: 15 } },
    counts: { input: 5, cache_write: 15, output: 9 },
    terms: null,
  },
  {
    name: 'audio in and out, beside text and reasoning',
    usage: {
      prompt_tokens: 100,
      completion_tokens: 80,
      prompt_tokens_details: { audio_tokens: 40, cached_tokens: 10 },
      completion_tokens_details: { audio_tokens: 30, reasoning_tokens: 20 },
    },
    counts: { input: 50, cached_input: 10, audio_input: 40, output: 30, reasoning: 20, audio_output: 30 },
    terms: [
      [50, IN],
      [10, CACHED],
      [40, audioIn],
      [30, OUT],
      [20, THINK],
      [30, audioOut],
    ],
  },
  {
    name: 'explicit zeros are reports, and cost nothing',
    usage: {
      prompt_tokens: 12,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    },
    counts: { input: 12, cached_input: 0, audio_input: 0, output: 0, reasoning: 0 },
    terms: [[12, IN]],
  },
  {
    name: 'nothing but zeros: free, and known to be',
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    counts: { input: 0, output: 0 },
    terms: [],
  },
  {
    name: 'details that are no counts are absent',
    usage: {
      prompt_tokens: 12,
      completion_tokens: 3,
      prompt_tokens_details: { cached_tokens: 1.5, audio_tokens: '4' },
      completion_tokens_details: { reasoning_tokens: -2 },
    },
    counts: { input: 12, output: 3 },
    terms: [
      [12, IN],
      [3, OUT],
    ],
  },
  ...['12', 12.5, -12].map((nonsense): Case => {
    return {
      name: `wholes of ${JSON.stringify(nonsense)} are absent, and counted by us`,
      usage: { prompt_tokens: nonsense, completion_tokens: nonsense, total_tokens: nonsense },
      // "user", two words, and the framing; "Hi" and its full stop.
      counts: { input: 9, output: 2 },
      source: 'estimated',
      terms: [
        [9, IN],
        [2, OUT],
      ],
    };
  }),
  {
    name: 'details of more than their whole are absent',
    usage: { prompt_tokens: 12, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 13 } },
    counts: { input: 12, output: 3 },
    terms: [
      [12, IN],
      [3, OUT],
    ],
  },
  {
    name: 'one whole is missing, and the total tells it',
    usage: { prompt_tokens: 12, total_tokens: 15 },
    counts: { input: 12, output: 3 },
    terms: [
      [12, IN],
      [3, OUT],
    ],
  },
  {
    name: 'at a tier’s bound the prices below it hold',
    entry: 'tiered',
    usage: { prompt_tokens: 100, completion_tokens: 7 },
    counts: { input: 100, output: 7 },
    terms: [
      [100, IN],
      [7, OUT],
    ],
  },
  {
    name: 'above a tier’s bound it prices the whole request, and what it leaves out is inherited',
    entry: 'tiered',
    usage: { prompt_tokens: 101, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 90 } },
    counts: { input: 11, cached_input: 90, output: 7 },
    terms: [
      [11, '0.0000002'],
      [90, CACHED],
      [7, OUT],
    ],
  },
  {
    name: 'the highest tier that is exceeded holds, all input classes together',
    entry: 'tiered',
    usage: { prompt_tokens: 1001, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 1000 } },
    counts: { input: 1, cached_input: 1000, output: 7 },
    terms: [
      [1, '0.0000003'],
      [1000, CACHED],
      [7, '0.0000009'],
    ],
  },
  {
    name: 'a price of the request itself is added once',
    entry: 'by-request',
    usage: { prompt_tokens: 3, completion_tokens: 1 },
    counts: { input: 3, output: 1 },
    terms: [
      [3, IN],
      [1, OUT],
      [1, '0.000123'],
    ],
  },
  {
    name: 'a cost the provider states stays beside ours, to the letter',
    usage: { prompt_tokens: 12, completion_tokens: 3, cost: 0.00014250000000000002 },
    counts: { input: 12, output: 3 },
    terms: [
      [12, IN],
      [3, OUT],
    ],
    providerCostUsd: '0.00014250000000000002',
  },
  {
    name: 'Perplexity: a cost within an object',
    usage: { prompt_tokens: 12, completion_tokens: 3, cost: { request_cost: 0.005, total_cost: 0.00501 } },
    counts: { input: 12, output: 3 },
    terms: [
      [12, IN],
      [3, OUT],
    ],
    providerCostUsd: '0.00501',
  },
];

interface Detail {
  usage: (Record<string, number | null> & { source: string }) | null;
  cost_nano_usd: number | null;
  attempts: Array<{ provider_cost_usd: string | null; unpriced_reason: string | null; cost_nano_usd: number | null }>;
  cost_components: Array<{ class: string; units: number; usd_per_million: string }>;
}

let upstream: ScriptedUpstream;
let daemon: Daemon;

/** The number of the case, behind the entry that is asked. */
function caseOf(body: string): Case {
  const { model } = JSON.parse(body) as { model: string };
  return CASES[Number(model.replace('case-', ''))] as Case;
}

beforeAll(async () => {
  upstream = await startUpstream(({ body }) => {
    const { model, stream } = JSON.parse(body) as { model: string; stream?: boolean };
    const { usage } = caseOf(body);
    const head = { id: 'x', created: 1, model };
    if (stream !== true) {
      const message = { role: 'assistant', content: 'Hi.' };
      const choices = [{ index: 0, message, finish_reason: 'stop' }];
      return { body: { ...head, object: 'chat.completion', choices, usage } };
    }
    const chunk = (rest: object) => JSON.stringify({ ...head, object: 'chat.completion.chunk', ...rest });
    return {
      sse: [
        chunk({
          choices: [{ index: 0, delta: { role: 'assistant', content: 'Hi.' }, finish_reason: null }],
          usage: null,
        }),
        chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
        chunk({ choices: [], usage }),
        '[DONE]',
      ],
    };
  });
  const entry = (id: string, pricing: object) => ({
    id,
    type: 'openai_compatible',
    base_url: `${upstream.url}/v1`,
    api_keys: [`key-${id}`],
    pricing,
  });
  daemon = await startDaemon({
    config: {
      llm_providers: [
        entry('full', PRICING),
        entry('bare', BARE),
        entry('tiered', TIERED),
        entry('by-request', { ...BARE, request_cost: '0.000123' }),
      ],
    },
  });
});

afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

async function ask(index: number, entry: string, stream: boolean): Promise<{ detail: Detail; cost: number | null }> {
  const response = await daemon.post('/v1/chat/completions', {
    model: `${entry}:case-${index}`,
    messages: [{ role: 'user', content: 'Hello there' }],
    ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  const json = stream
    ? (text
        .split('\n\n')
        .map((event) => event.replace(/^data: /, ''))
        .find((data) => data.includes('"cost_nano_usd"')) ?? '{}')
    : text;
  const { usage } = JSON.parse(json) as { usage?: { cost_nano_usd: number | null } };
  const detail = await daemon.admin<Detail>(`/requests/${response.headers.get('inference-id')}`);
  return { detail, cost: usage?.cost_nano_usd ?? null };
}

describe.each([
  ['an answer', false],
  ['a stream', true],
])('usage of %s', (_name, stream) => {
  it.each(CASES.map((each, index) => ({ ...each, index })))('$name', async ({ index, ...expected }) => {
    const { detail, cost } = await ask(index, expected.entry ?? 'full', stream);
    const { source, ...counts } = detail.usage ?? { source: '' };
    const known = Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== null));
    expect(known).toEqual(expected.counts);
    expect(source).toBe(expected.source ?? 'reported');
    const nano = expected.terms === null ? null : Number(exactSum(expected.terms));
    expect(detail.cost_nano_usd).toBe(nano);
    expect(cost).toBe(nano);
    expect(detail.attempts[0]).toMatchObject({
      provider_cost_usd: expected.providerCostUsd ?? null,
      unpriced_reason: nano === null ? 'no-price' : null,
    });
    // The components say the same, once: no class twice, and none that is not there.
    const classes = detail.cost_components.map((line) => line.class);
    expect(new Set(classes).size).toBe(classes.length);
    if (nano !== null) {
      const terms = detail.cost_components.map(({ units, usd_per_million: rate }) => [units, perUnit(rate)] as const);
      expect(Number(exactSum(terms))).toBe(nano);
    }
  });
});

/** USD a million as USD each. */
function perUnit(usdPerMillion: string): string {
  const [whole = '0', fraction = ''] = usdPerMillion.split('.');
  const digits = whole.padStart(7, '0');
  return `${digits.slice(0, -6)}.${digits.slice(-6)}${fraction}`;
}

describe('usage that is no count', () => {
  it('is logged, with the fields and whose they are', async () => {
    const index = CASES.findIndex(({ name }) => name === 'details that are no counts are absent');
    await ask(index, 'full', false);
    const lines = daemon
      .output()
      .split('\n')
      .filter((line) => line.includes('is no count'))
      .map((line) => JSON.parse(line) as { provider: string; providerModel: string; fields: string[] })
      .filter(({ providerModel }) => providerModel === `case-${index}`);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      provider: 'full',
      fields: [
        'completion_tokens_details.reasoning_tokens',
        'prompt_tokens_details.cached_tokens',
        'prompt_tokens_details.audio_tokens',
      ],
    });
  });
});
