import { describe, expect, it } from 'vitest';
import { DISABLED_KEY_MS } from '../../../src/domain/failure.js';
import type { TaskHelper } from '../../../src/domain/provider.js';
import { Secret } from '../../../src/domain/secret.js';
import { gemini } from '../../../src/providers/gemini/adapter.js';
import { failureFromStatus } from '../../../src/upstream/failure.js';
import { answerOf, aRequest, aTarget } from '../../conformance/adapters.js';
import { answerTextOf } from '../../support/answer-text.js';
import { finished } from '../../support/finished.js';

const embedding = gemini.tasks.embedding as TaskHelper;

describe('the key', () => {
  it('goes in its header and nowhere else', () => {
    expect(gemini.authenticate(new Secret('k'))).toEqual({ 'x-goog-api-key': 'k' });
  });
});

describe('failures', () => {
  function verdictOf(code: number, status: string, message: string, details: object[] = []) {
    const body = Buffer.from(JSON.stringify({ error: { code, status, message, details } }));
    return gemini.classify?.(failureFromStatus({ status: code, headers: {}, body, secrets: [], now: 0 }));
  }
  const refused = { action: 'rotate-key', cooldownMs: DISABLED_KEY_MS, disable: true };
  const reason = [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' }];

  it.each([
    ['a wrong key', 400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [], refused],
    ['an expired key', 400, 'INVALID_ARGUMENT', 'API key expired. Please renew the API key.', [], refused],
    ['a wrong key, by its reason', 400, 'INVALID_ARGUMENT', 'x', reason, refused],
    [
      'a place',
      400,
      'FAILED_PRECONDITION',
      'User location is not supported for the API use.',
      [],
      { action: 'fall-back' },
    ],
    ['a free tier', 400, 'FAILED_PRECONDITION', 'The free tier is not available.', [], { action: 'fall-back' }],
    [
      'a long prompt',
      400,
      'INVALID_ARGUMENT',
      'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
      [],
      { action: 'fall-back' },
    ],
    ['a mistake', 400, 'INVALID_ARGUMENT', 'Invalid JSON payload received.', [], undefined],
    ['another condition', 400, 'FAILED_PRECONDITION', 'The file is not active.', [], undefined],
    ['another status', 403, 'PERMISSION_DENIED', 'API key not valid.', reason, undefined],
  ])('%s', (_what, code, status, message, details, verdict) => {
    expect(verdictOf(code, status, message, details)).toEqual(verdict);
  });
});

describe('embeddings', () => {
  const target = aTarget(gemini, { providerModel: 'models/e', extraBody: { taskType: 'CLUSTERING' } });
  const send = (request: object) =>
    JSON.parse(embedding.preparePayload(aRequest('embedding', request), target).body as string);
  const route = (request: object) => embedding.makeRoute(aRequest('embedding', request), target).url;
  const read = (body: string, request: object) => {
    const outcome = finished(embedding.getResponse(answerOf(body), aRequest('embedding', request), target));
    return outcome.ok ? answerTextOf(outcome.answer.body) : outcome.fault;
  };

  it('of one text in a list are asked for alone', () => {
    expect(route({ input: ['a'] })).toMatch(/\/v1beta\/models\/e:embedContent$/);
    expect(send({ input: ['a'] })).toEqual({
      model: 'models/e',
      taskType: 'CLUSTERING',
      content: { parts: [{ text: 'a' }] },
    });
  });

  it('of several are asked for together, each with what belongs to it', () => {
    expect(route({ input: ['a', 'b'] })).toMatch(/:batchEmbedContents$/);
    const each = { model: 'models/e', taskType: 'CLUSTERING', outputDimensionality: 8, title: 't' };
    expect(send({ input: ['a', 'b'], dimensions: 8, title: 't', user: 'u', encoding_format: 'float' })).toEqual({
      requests: [
        { ...each, content: { parts: [{ text: 'a' }] } },
        { ...each, content: { parts: [{ text: 'b' }] } },
      ],
    });
  });

  it.each([{ input: [1, 2] }, { input: [[1], [2]] }, { input: [7] }])('of tokens are refused: %j', (request) => {
    expect(() => send(request)).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'input' }));
  });

  it('keep their numbers as they were written, and come as base64 where that was asked for', () => {
    expect(read('{"embedding": {"values": [0.10,1e-7]}}', { input: 'a' })).toBe(
      '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1e-7]}],"model":"models/e"}',
    );
    expect(read('{"embedding": {"values": [0.5,-1]}}', { input: 'a', encoding_format: 'base64' })).toContain(
      '"embedding":"AAAAPwAAgL8="',
    );
  });

  it.each([
    ['too few', '{"embeddings":[{"values":[1]}]}'],
    ['no values', '{"embeddings":[{"values":[1]},{"shape":[1]}]}'],
    ['no objects', '{"embeddings":[{"values":[1]},[2]]}'],
    ['no list', '{"embeddings":{"values":[1]}}'],
  ])('that are not one for each text are no answer: %s', (_what, body) => {
    expect(read(body, { input: ['a', 'b'] })).toMatchObject({
      kind: 'malformed',
      message: 'the provider’s answer has no vector for each of 2 inputs',
    });
  });

  it('count audio and cached tokens in their classes, and have no output', () => {
    const body =
      '{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":2,"totalTokenCount":9,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":3}]}}';
    const outcome = finished(embedding.getResponse(answerOf(body), aRequest('embedding', { input: 'a' }), target));
    expect(outcome.ok && outcome.answer.usage?.counts).toMatchObject({
      input: 4,
      cachedInput: 2,
      audioInput: 3,
      output: null,
    });
    expect(outcome.ok && answerTextOf(outcome.answer.body)).toContain('"usage":{"prompt_tokens":9,"total_tokens":9}');
  });

  it('whose usage is no count say so', () => {
    const body = '{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":-1}}';
    const outcome = finished(embedding.getResponse(answerOf(body), aRequest('embedding', { input: 'a' }), target));
    expect(outcome.ok && outcome.answer.usage?.problems).toEqual(['promptTokenCount']);
    expect(outcome.ok && answerTextOf(outcome.answer.body)).toContain(
      '"usage":{"prompt_tokens":null,"total_tokens":null}',
    );
  });
});
