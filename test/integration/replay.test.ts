import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { parseExact, toNumber } from '../support/exact-json.js';
import { classesOf, exactCost, type TokenClasses, type TokenPrices } from '../support/independent-cost.js';
import { loadRecordings, pruned, type Recording, recordingsFolder } from '../support/recordings.js';
import {
  assemble,
  clientRequest,
  cutPoint,
  expectedChunks,
  expectedError,
  isUsage,
  type Json,
  providerTypeOf,
  readClientStream,
  UNKNOWN_PARAMETER,
  withoutUsage,
} from '../support/replay.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';

/** Figures that a double cannot hold, and sums that do not come out even. */
const PRICES: TokenPrices = { input: '0.00000015', cachedInput: '0.0000000751', output: '0.000000600003' };

const recordings = loadRecordings();
const ROUTED = ['chat', 'completion', 'embedding', 'feature-extraction'];
const answers = recordings.filter((recording) => ROUTED.includes(recording.kind) && !recording.stream);
const streams = recordings.filter((recording) => ROUTED.includes(recording.kind) && recording.stream);
const errors = recordings.filter((recording) => recording.kind === 'error');

interface LedgerRow {
  outcome: string;
  status: number;
  provider: string;
  provider_model: string;
  usage: (TokenClasses & { source: string }) | null;
  cost_nano_usd: number | null;
  attempts: Array<{ outcome: string; status: number | null }>;
}

let upstream: ScriptedUpstream;
let daemon: Daemon;

/** One entry for each type, and one for each error: a key that is refused stays out. */
function entryOf(recording: Recording): string {
  if (recording.kind === 'error') return `error-${errors.indexOf(recording)}`;
  return recording.kind === 'feature-extraction' ? 'features' : providerTypeOf(recording);
}

function entry(id: string, type: string, path = '/v1'): object {
  return {
    id,
    type,
    base_url: upstream.url + path,
    api_keys: [`key-${id}`],
    pricing: {
      input_token_cost: PRICES.input,
      cached_input_token_cost: PRICES.cachedInput,
      output_token_cost: PRICES.output,
    },
  };
}

describe.skipIf(recordingsFolder() === null)('recorded exchanges through the daemon', () => {
  beforeAll(async () => {
    upstream = await startUpstream([]);
    const types = ['huggingface', 'openai', 'openai_compatible', 'ollama'];
    daemon = await startDaemon({
      config: {
        llm_providers: [
          ...types.map((type) => entry(type, type)),
          entry('features', 'huggingface', '/hf-inference'),
          ...errors.map((recording) => entry(entryOf(recording), providerTypeOf(recording))),
        ],
        policy: {
          retry: { max_attempts: 2, interval: '1ms', max_interval: '5ms', max_wait: '50ms' },
          cooldown: { failures: 1000 },
        },
      },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    await upstream?.close();
  });

  describe('whole answers', () => {
    for (const recording of answers) {
      for (const [form, variant] of variantsOf(recording)) {
        it(`${recording.name}, ${form}: body unharmed, usage and cost as they should be`, async () => {
          const { response, text, row } = await replay(variant, { rawBytes: variant.body });
          expect(response.status).toBe(200);
          const body = parseExact(text) as Json;
          const usage = body['usage'] as Json;
          if (variant.kind === 'feature-extraction') checkVector(body, variant);
          else expect(withoutUsage(body)).toEqual(asAsked(variant));
          checkLedger(row, variant);
          expect(usage['cost_nano_usd']).toEqual(parseExact(String(row.cost_nano_usd)));
          expect(response.headers.get('x-waybill-cost-nano-usd')).toBe(String(row.cost_nano_usd));
          if (variant.usage !== null) {
            const { cost: _cost, cost_nano_usd: _nano, ...said } = usage;
            expect(said).toEqual(variant.usage);
          }
          checkForwarded(variant);
        });
      }
    }
  });

  describe('streams', () => {
    for (const recording of streams) {
      for (const [form, variant] of variantsOf(recording)) {
        const split = variant.body.length > 20_000 ? 7 : 1;
        const ways: Array<[string, UpstreamStep]> = [
          ['whole', { rawBytes: variant.body }],
          [split === 1 ? 'byte by byte' : 'seven bytes at a time', { rawBytes: variant.body, splitAt: split }],
          ['with CRLF', { rawBytes: variant.body.toString('utf8').replaceAll('\n', '\r\n') }],
        ];
        for (const [way, step] of ways) {
          it(`${recording.name}, ${form}, ${way}: chunks unharmed, usage and cost as they should be`, async () => {
            const { response, text, row } = await replay(variant, step);
            expect(response.status).toBe(200);
            const { chunks, done } = readClientStream(text);
            expect(done).toBe(true);
            expect(chunks.some((chunk) => isUsage(chunk['usage']))).toBe(false);
            expect(chunks.map(withoutUsage)).toEqual(expectedChunks(variant.events ?? []));
            expect(assemble(chunks)).toEqual(assemble(expectedChunks(variant.events ?? [])));
            checkLedger(row, variant);
          });
        }

        it(`${recording.name}, ${form}: the usage comes once, with its cost, to who asked for it`, async () => {
          const { text, row } = await replay(variant, { rawBytes: variant.body }, true);
          const { chunks, done } = readClientStream(text);
          expect(done).toBe(true);
          const last = chunks.filter((chunk) => isUsage(chunk['usage'])).at(-1)?.['usage'] as Json;
          expect(last['cost_nano_usd']).toEqual(parseExact(String(row.cost_nano_usd)));
          const { cost: _cost, cost_nano_usd: _nano, source: _source, ...said } = last;
          if (variant.usage !== null) expect(said).toEqual(variant.usage);
          expect(assemble(chunks)).toEqual(assemble(expectedChunks(variant.events ?? [])));
        });
      }

      const cut = cutPoint(recording);
      it.skipIf(cut === null)(`${recording.name}, cut: never made to look complete`, async () => {
        const { bytes, whole } = cut as { bytes: number; whole: number };
        const { response, text, row } = await replay(recording, { rawBytes: recording.body, cutAfterBytes: bytes });
        expect(response.status).toBe(200);
        const { chunks, done } = readClientStream(text);
        expect(done).toBe(false);
        expect(chunks.at(-1)).toMatchObject({ error: { code: 'upstream_interrupted' } });
        expect(chunks.slice(0, -1).map(withoutUsage)).toEqual(expectedChunks((recording.events ?? []).slice(0, whole)));
        expect(row.outcome).toBe('failed');
        expect(row.usage?.source).toBe('lower-bound');
        expect(BigInt(row.cost_nano_usd ?? -1)).toBe(exactCost(row.usage as TokenClasses, PRICES));
      });
    }
  });

  describe('errors', () => {
    for (const recording of errors) {
      it(`${recording.name}: answered as the table of errors says`, async () => {
        const { response, text, row } = await replay(recording, {
          status: recording.status,
          headers: recording.headers,
          rawBytes: recording.body,
        });
        const { error } = JSON.parse(text) as { error: { message: string; type: string; code: string } };
        const { type, code } = error;
        expect({ status: response.status, type, code }).toEqual(expectedError(recording));
        expect(error.message).not.toBe('');
        expect(text).not.toContain(`key-${entryOf(recording)}`);
        if (response.status < 500 && response.status !== 429) {
          expect(response.headers.get('x-should-retry')).toBe('false');
        }
        expect(row.outcome).toBe('failed');
        expect(row.attempts.length).toBeGreaterThan(0);
      });
    }
  });
});

function variantsOf(recording: Recording): Array<[string, Recording]> {
  const asIs: [string, Recording] = ['as recorded', recording];
  return recording.source === 'openai-compatible' ? [asIs, ['without nulls', pruned(recording)]] : [asIs];
}

async function replay(recording: Recording, step: UpstreamStep, withUsage = false) {
  upstream.setScript([{ headers: recording.headers, ...step, ...(recording.stream ? streamHeaders(recording) : {}) }]);
  const request = clientRequest(recording, entryOf(recording));
  const options = withUsage ? ',"stream_options":{"include_usage":true}}' : '}';
  const response = await daemon.post(request.path, `${request.body.slice(0, -1)}${options}`);
  const text = await response.text();
  const id = response.headers.get('inference-id') ?? 'missing';
  expect(response.headers.get('x-request-id')).toBe(id);
  return { response, text, row: await daemon.admin<LedgerRow>(`/requests/${id}`) };
}

/** Some recordings lost their content type; a provider always sends one. */
function streamHeaders(recording: Recording): { headers: Record<string, string> } {
  return { headers: { 'content-type': 'text/event-stream', ...recording.headers } };
}

function checkLedger(row: LedgerRow, recording: Recording): void {
  expect(row.outcome).toBe('ok');
  expect(row.provider).toBe(entryOf(recording));
  expect(row.attempts).toHaveLength(1);
  const usage = row.usage as TokenClasses & { source: string };
  if (recording.usage === null) {
    expect(usage.source).toBe('estimated');
    expect(usage.input).toBeGreaterThan(0);
    if (recording.kind === 'chat' || recording.kind === 'completion') expect(usage.output).toBeGreaterThan(0);
  } else {
    expect(usage.source).toBe('reported');
    expect(usage).toMatchObject(classesOf(recording.usage));
  }
  expect(BigInt(row.cost_nano_usd ?? -1)).toBe(exactCost(usage, PRICES));
}

/** The provider was asked what the client asked, but for the model's name and the usage the router wants. */
function checkForwarded(recording: Recording): void {
  if (recording.kind === 'feature-extraction') return;
  const sent = upstream.requests.at(-1);
  const { model, ...rest } = parseExact(sent?.body ?? 'null') as Json;
  expect(model).toBe(recording.model ?? 'recorded-model');
  const { model: _model, ...asked } = parseExact(clientRequest(recording, 'x').body) as Json;
  expect(rest).toEqual(asked);
  expect(sent?.body).toContain(`"x_unknown":${UNKNOWN_PARAMETER}`);
  expect(sent?.headers['authorization']).toBe(`Bearer key-${entryOf(recording)}`);
}

/** The recorded body; with its vectors in base64 where the client asked for that and the provider did not care. */
function asAsked(recording: Recording): Json {
  const body = withoutUsage(parseExact(recording.body.toString()) as Json);
  if (recording.requestBody?.includes('"encoding_format":"base64"') !== true) return body;
  const data = (body['data'] as Json[]).map((item) => {
    const numbers = (item['embedding'] as string[]).map((number) => toNumber(number) ?? Number.NaN);
    return { ...item, embedding: Buffer.from(Float32Array.from(numbers).buffer).toString('base64') };
  });
  return { ...body, data };
}

function checkVector(body: Json, recording: Recording): void {
  expect(upstream.requests.at(-1)?.path).toMatch(/^\/hf-inference\/models\/.+\/pipeline\/feature-extraction$/);
  const [first] = body['data'] as Json[];
  expect(body['object']).toBe('list');
  expect(first).toMatchObject({ object: 'embedding' });
  expect(first?.['embedding']).toEqual(parseExact(recording.body.toString()));
}

it.skipIf(recordingsFolder() === null)(
  'recordings of every kind are there (WAYBILL_RECORDINGS names their folder)',
  () => {
    expect(answers.length).toBeGreaterThan(40);
    expect(streams.length).toBeGreaterThan(30);
    expect(errors.length).toBeGreaterThan(20);
  },
);
