import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { type ErrorBody, IMPATIENT, recordOf } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

/** OpenAI's images and speech with Gemini behind them, through the built daemon. */

let upstream: ScriptedUpstream;
let daemon: Daemon;

beforeAll(async () => {
  upstream = await startUpstream([{}]);
  const models = [
    { id: 'imagen-4', tasks: ['image'], pricing: { image_cost: '0.04' } },
    {
      id: 'a-voice',
      tasks: ['speech'],
      pricing: { unit: '1m_tokens', input_token_cost: 1, output_token_cost: 2, audio_output_token_cost: 20 },
    },
  ];
  const google = { id: 'google', type: 'gemini', base_url: upstream.url, api_keys: ['google-key'], models };
  daemon = await startDaemon({ config: { llm_providers: [google], policy: IMPATIENT } });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

it('Imagen’s pictures are charged each, and those held back are told as the request’s matter', async () => {
  upstream.setScript([{ body: { predictions: [{ bytesBase64Encoded: 'AAAA' }, { bytesBase64Encoded: 'BBBB' }] } }]);
  const ask = { model: 'imagen-4', prompt: 'a boat', n: 2 };
  const response = await daemon.post('/v1/images/generations', ask);
  expect(await response.json()).toMatchObject({ data: [{ b64_json: 'AAAA' }, { b64_json: 'BBBB' }] });
  expect(response.headers.get('x-waybill-cost-nano-usd')).toBe('80000000');
  expect(upstream.requests.at(-1)).toMatchObject({ path: '/v1beta/models/imagen-4:predict' });
  const sent = upstream.requests.length;
  upstream.setScript([{ body: { predictions: [{ raiFilteredReason: 'no boats' }] } }]);
  const refused = await daemon.post('/v1/images/generations', ask);
  expect(refused.status).toBe(400);
  expect(((await refused.json()) as ErrorBody).error).toMatchObject({ code: 'content_filter', param: 'prompt' });
  expect(upstream.requests.length).toBe(sent + 1);
});

it('speech is charged by the tokens it tells', async () => {
  const usageMetadata = {
    promptTokenCount: 3,
    candidatesTokenCount: 50,
    totalTokenCount: 53,
    candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 50 }],
  };
  const inlineData = { mimeType: 'audio/L16;codec=pcm;rate=24000', data: Buffer.alloc(4_800).toString('base64') };
  upstream.setScript([{ body: { candidates: [{ content: { parts: [{ inlineData }] } }], usageMetadata } }]);
  const response = await daemon.post('/v1/audio/speech', { model: 'a-voice', input: 'Hello there', voice: 'Kore' });
  expect(response.headers.get('content-type')).toBe('audio/wav');
  expect(Buffer.from(await response.arrayBuffer())).toHaveLength(44 + 4_800);
  expect(response.headers.get('x-waybill-cost-nano-usd')).toBe(String(3_000 + 1_000_000));
  const { usage } = await recordOf(daemon, response);
  expect(usage).toMatchObject({ input: 3, audio_output: 50, characters: null, source: 'reported' });
});
