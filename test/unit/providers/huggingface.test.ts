import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../../src/domain/errors.js';
import type { UpstreamFailure } from '../../../src/domain/failure.js';
import type { TaskHelper, UpstreamTarget } from '../../../src/domain/provider.js';
import { huggingface } from '../../../src/providers/huggingface/adapter.js';
import { poolingOf, toVectors } from '../../../src/providers/huggingface/pooling.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { answerOf, aRequest, aTarget } from '../../conformance/adapters.js';
import { answerTextOf } from '../../support/answer-text.js';
import { finished } from '../../support/finished.js';

const embedding = huggingface.tasks.embedding as TaskHelper;
const chat = huggingface.tasks.chat as TaskHelper;

function read(body: string, request: object, overrides: Partial<UpstreamTarget> = {}) {
  const outcome = finished(
    embedding.getResponse(answerOf(body), aRequest('embedding', request), aTarget(huggingface, overrides)),
  );
  return outcome.ok
    ? JSON.parse(answerTextOf(outcome.answer.body)).data.map((item: { embedding: unknown }) => item.embedding)
    : outcome.fault;
}

describe('reranking by Text Embeddings Inference', () => {
  it('takes documents that are texts, and says which one is not', () => {
    const request = { task: 'rerank', stream: false, includeUsage: false } as const;
    const body = parseJsonBody('{"model":"m","query":"q","documents":["a",{"title":"b"}]}');
    const target = aTarget(huggingface, { baseUrl: 'http://127.0.0.1:9' });
    expect(() => huggingface.tasks.rerank?.preparePayload({ ...request, body }, target)).toThrow(
      expect.objectContaining({ param: 'documents[1]' }),
    );
    expect(() => huggingface.tasks.rerank?.preparePayload({ ...request, body }, aTarget(huggingface))).toThrow(
      expect.objectContaining({ code: 'task_not_supported', param: 'model' }),
    );
  });
});

describe('routes', () => {
  const ask = aRequest('embedding', { input: 'a' });
  it.each([
    [
      'https://router.huggingface.co/v1',
      'https://router.huggingface.co/hf-inference/models/a/b%20c/pipeline/feature-extraction',
    ],
    [
      'https://router.huggingface.co',
      'https://router.huggingface.co/hf-inference/models/a/b%20c/pipeline/feature-extraction',
    ],
    [
      'http://127.0.0.1:8080/hf-inference/',
      'http://127.0.0.1:8080/hf-inference/models/a/b%20c/pipeline/feature-extraction',
    ],
    [
      'https://api-inference.huggingface.co',
      'https://api-inference.huggingface.co/models/a/b%20c/pipeline/feature-extraction',
    ],
    [
      'https://Router.HuggingFace.co:443/v1',
      'https://Router.HuggingFace.co:443/hf-inference/models/a/b%20c/pipeline/feature-extraction',
    ],
    ['https://router.huggingface.co/together/v1', 'https://router.huggingface.co/together/v1/embeddings'],
    [
      'https://x1.eu-west-1.aws.endpoints.huggingface.cloud',
      'https://x1.eu-west-1.aws.endpoints.huggingface.cloud/v1/embeddings',
    ],
    ['http://127.0.0.1:8080/v1/', 'http://127.0.0.1:8080/v1/embeddings'],
  ])('embeddings of %s are asked at %s', (baseUrl, url) => {
    expect(embedding.makeRoute(ask, aTarget(huggingface, { baseUrl, providerModel: 'a/b c' })).url).toBe(url);
  });

  it.each([
    ['https://router.huggingface.co/v1', 'https://router.huggingface.co/v1/chat/completions'],
    ['https://router.huggingface.co/', 'https://router.huggingface.co/v1/chat/completions'],
    [
      'https://router.huggingface.co/hf-inference/models/a/b/v1',
      'https://router.huggingface.co/hf-inference/models/a/b/v1/chat/completions',
    ],
  ])('chat of %s is asked at %s', (baseUrl, url) => {
    const request = aRequest('chat', { messages: [{ role: 'user', content: 'a' }] });
    expect(chat.makeRoute(request, aTarget(huggingface, { baseUrl })).url).toBe(url);
  });
});

describe('a model’s name in a path', () => {
  const ask = aRequest('embedding', { input: 'a' });
  const route = (providerModel: string, baseUrl = 'https://router.huggingface.co/v1') =>
    embedding.makeRoute(ask, aTarget(huggingface, { baseUrl, providerModel }));

  it.each(['../../x', 'a/../b', '..', '.', 'a/.', 'a//b', '/a', 'a/', '', '..\\..\\x', 'a\ud800'])(
    'is refused when it leads elsewhere: %j',
    (name) => {
      expect(() => route(name)).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'model' }));
      expect(() => embedding.preparePayload(ask, aTarget(huggingface, { providerModel: name }))).toThrow(WaybillError);
    },
  );

  it.each(['a/b', '...', 'a..b/c.d', 'a/é😀'])('may have dots and other letters: %j', (name) => {
    expect(new URL(route(name).url).pathname).toBe(
      `/hf-inference/models/${name.split('/').map(encodeURIComponent).join('/')}/pipeline/feature-extraction`,
    );
  });

  it('does not matter where it stands in no path', () => {
    expect(route('../x', 'http://127.0.0.1:8080/v1').url).toBe('http://127.0.0.1:8080/v1/embeddings');
  });
});

describe('feature extraction', () => {
  it('tells an answer that is no JSON from one that has no vectors', () => {
    const message = (body: string) => read(body, { input: 'a' }).message;
    expect(message('<html>')).toContain('something else than JSON');
    expect(message('{}')).toContain('no array of vectors');
  });

  it('sends the texts as inputs, and OpenAI’s own members not at all', () => {
    const request = aRequest('embedding', { input: ['a', 'b'], encoding_format: 'base64', user: 'u', truncate: true });
    const { body } = embedding.preparePayload(request, aTarget(huggingface, { extraBody: { normalize: true } }));
    expect(JSON.parse(body as string)).toEqual({ inputs: ['a', 'b'], normalize: true, truncate: true });
  });

  it.each([
    [{ input: [1, 2] }, 'input'],
    [{ input: [[1], [2]] }, 'input'],
    [{ input: 'a', dimensions: 64 }, 'dimensions'],
  ])('refuses what it cannot do: %j', (request, param) => {
    expect(() => embedding.preparePayload(aRequest('embedding', request), aTarget(huggingface))).toThrow(
      expect.objectContaining({ code: 'invalid_request', param }),
    );
  });

  it('keeps the numbers as the provider wrote them', () => {
    const outcome = finished(
      embedding.getResponse(answerOf('[0.10, 1e-7]'), aRequest('embedding', { input: 'a' }), aTarget(huggingface)),
    );
    expect(outcome.ok && outcome.answer.body).toBe(
      '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10, 1e-7]}],"model":"vendor/model-1"}',
    );
  });

  it.each([
    ['one vector', '[1,2]', 'a', [[1, 2]]],
    ['one vector in a list', '[[1,2]]', 'a', [[1, 2]]],
    [
      'one vector each',
      '[[1,2],[3,4]]',
      ['a', 'b'],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['token vectors of one text', '[[1,2],[3,4]]', 'a', [[2, 3]]],
    ['token vectors of one text, as a batch', '[[[1,2],[3,4]]]', 'a', [[2, 3]]],
    ['token vectors of one text in a list', '[[[1,2],[3,4]]]', ['a'], [[2, 3]]],
    [
      'token vectors of each text',
      '[[[1,2],[3,4]],[[5,6]]]',
      ['a', 'b'],
      [
        [2, 3],
        [5, 6],
      ],
    ],
    [
      'token vectors of each text, each as a batch',
      '[[[[1,2],[3,4]]],[[[5,6]]]]',
      ['a', 'b'],
      [
        [2, 3],
        [5, 6],
      ],
    ],
  ])('reads %s', (_what, body, input, vectors) => {
    expect(read(body, { input })).toEqual(vectors);
  });

  it.each(['[]', '[[1,2],[3]]', '[[1,"x"]]', '[null]', '["a"]', '[[[[[]]]]]'])('takes %s for malformed', (body) => {
    expect(read(body, { input: 'a' })).toMatchObject({ kind: 'malformed' });
  });

  it('takes too few vectors for malformed', () => {
    expect(read('[[1,2]]', { input: ['a', 'b'] })).toMatchObject({ kind: 'malformed' });
    expect(read('[1,2]', { input: ['a', 'b'] })).toMatchObject({ kind: 'malformed' });
  });

  it('gives base64 where that was asked for', () => {
    expect(read('[0.5,-1]', { input: 'a', encoding_format: 'base64' })).toEqual(['AAAAPwAAgL8=']);
  });

  it('understands a bare array from a dedicated endpoint too', () => {
    expect(read('[[1,2]]', { input: 'a' }, { baseUrl: 'http://127.0.0.1:8080' })).toEqual([[1, 2]]);
  });

  it('takes the error for an error', () => {
    expect(read('{"error":"Model x is currently loading","estimated_time":20}', { input: 'a' })).toMatchObject({
      kind: 'status',
      status: 500,
      message: 'Model x is currently loading',
    });
  });
});

describe('pooling', () => {
  it.each([
    ['sentence-transformers/all-MiniLM-L6-v2', 'mean'],
    ['intfloat/multilingual-e5-large', 'mean'],
    ['thenlper/gte-large', 'mean'],
    ['BAAI/bge-small-en-v1.5', 'cls'],
    ['mixedbread-ai/mxbai-embed-large-v1', 'cls'],
    ['Alibaba-NLP/gte-large-en-v1.5', 'cls'],
    ['Qwen/Qwen3-Embedding-0.6B', 'last'],
    ['intfloat/e5-mistral-7b-instruct', 'last'],
  ])('of %s is by %s', (model, pooling) => {
    expect(poolingOf(model)).toBe(pooling);
  });

  it('takes the vector the kind says', () => {
    const tokens = [
      [1, 2],
      [3, 4],
      [8, 9],
    ];
    expect(toVectors(tokens, 1, 'cls')).toEqual([[1, 2]]);
    expect(toVectors(tokens, 1, 'last')).toEqual([[8, 9]]);
    expect(toVectors(tokens, 1, 'mean')).toEqual([[4, 5]]);
  });
});

describe('failures', () => {
  const failure: UpstreamFailure = {
    kind: 'status',
    status: 410,
    code: null,
    param: null,
    type: null,
    message: 'gone',
    retryAfterMs: null,
    loadingMs: null,
    shouldRetry: null,
    sent: true,
  };
  const dead = 'https://api-inference.huggingface.co/models/x';

  it('says of the dead host where to go, in the error and in the check', () => {
    expect(huggingface.hint?.(failure, { baseUrl: dead })).toContain('https://router.huggingface.co/v1');
    expect(huggingface.checkEntry?.({ baseUrl: dead })).toEqual([
      expect.stringContaining('https://router.huggingface.co/v1'),
    ]);
  });

  it('has nothing to say of a host that lives', () => {
    expect(huggingface.hint?.(failure, { baseUrl: 'https://router.huggingface.co/v1' })).toBeUndefined();
    expect(huggingface.checkEntry?.({ baseUrl: null })).toEqual([]);
    expect(huggingface.checkEntry?.({ baseUrl: 'https://router.huggingface.co/v1' })).toEqual([]);
  });

  it('goes to the next target when no provider serves the model, and leaves the rest to the table', () => {
    expect(huggingface.classify?.({ ...failure, status: 400, code: 'model_not_supported' })).toEqual({
      action: 'fall-back',
    });
    expect(huggingface.classify?.(failure)).toBeUndefined();
  });
});
