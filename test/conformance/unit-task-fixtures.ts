import type { Task } from '../../src/domain/task.js';
import type { UnitTaskFixture } from './unit-tasks.js';

export const JSON_TYPE = 'application/json';
export const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x00, 0xff, 0xfe, 0x0d, 0x0a]);
const FILE = { kind: 'file', name: 'file', filename: 'a "b".wav', contentType: 'audio/wav' } as const;

export const nothing = ['nothing', '', JSON_TYPE] as const;
export const html = ['a web page', '<html>busy</html>', 'text/html'] as const;
export const other = ['another shape', '{"hello":"world"}', JSON_TYPE] as const;
export const cut = (body: string) => ['JSON that is cut', body.slice(0, -2), JSON_TYPE] as const;

const IMAGES =
  '{"created":1,"data":[{"b64_json":"AA=="},{"url":"https://x/y.png"}],"seed":14150443913665712001,"usage":{"total_tokens":110,"input_tokens":10,"output_tokens":100,"input_tokens_details":{"text_tokens":10,"image_tokens":0}}}';

export const image: UnitTaskFixture = {
  name: 'images',
  request: { json: { model: 'asked-model', prompt: 'a boat', n: 2, size: '512x512', unknown: { a: [1] } } },
  sends: {
    path: '/v1/images/generations',
    json: { model: 'vendor/model-1', prompt: 'a boat', n: 2, size: '512x512', unknown: { a: [1] } },
  },
  answer: { body: IMAGES, contentType: JSON_TYPE, usage: { images: 2, input: 10, output: 100 } },
  malformed: [nothing, html, other, cut(IMAGES), ['no image', '{"created":1,"data":[]}', JSON_TYPE]],
};

const imageWithoutUsage: UnitTaskFixture = {
  ...image,
  name: 'an image without usage',
  answer: { body: '{"data":[{"b64_json":"AA=="}]}', contentType: JSON_TYPE, usage: { images: 1 } },
};

const speech: UnitTaskFixture = {
  name: 'speech',
  request: { json: { model: 'asked-model', input: 'Hello', voice: 'alloy', response_format: 'mp3' } },
  sends: {
    path: '/v1/audio/speech',
    json: { model: 'vendor/model-1', input: 'Hello', voice: 'alloy', response_format: 'mp3' },
  },
  answer: { body: Buffer.from([0xff, 0xfb, 0x90, 0x00, 0xc3, 0x28]), contentType: 'audio/mpeg', usage: null },
  malformed: [nothing, html, other, ['plain text', 'busy', 'text/plain']],
};

export const FORM = {
  form: [
    { kind: 'field', name: 'model', value: 'asked-model' },
    FILE,
    { kind: 'bytes', bytes: Buffer.from('RIFF\r\n--x') },
    { kind: 'bytes', bytes: Buffer.from([0x00, 0xff]) },
    { kind: 'field', name: 'language', value: 'dé' },
  ],
} as const;

const SENT_FORM = [
  '--the-boundary\r\ncontent-disposition: form-data; name="model"\r\n\r\nvendor/model-1\r\n',
  '--the-boundary\r\ncontent-disposition: form-data; name="file"; filename="a %22b%22.wav"\r\ncontent-type: audio/wav\r\n\r\nRIFF\r\n--x\u0000\u00ff\r\n',
  `--the-boundary\r\ncontent-disposition: form-data; name="language"\r\n\r\n${Buffer.from('dé').toString('latin1')}\r\n`,
  '--the-boundary--\r\n',
].join('');

export const transcribed = (
  name: string,
  body: string,
  usage: UnitTaskFixture['answer']['usage'],
  path = '/v1/audio/transcriptions',
): UnitTaskFixture => ({
  name,
  request: FORM,
  sends: { path, form: SENT_FORM },
  answer: { body, contentType: JSON_TYPE, usage },
  malformed: [nothing, html, other, cut(body), ['a text that is none', '{"text":null}', JSON_TYPE]],
});

const subtitles: UnitTaskFixture = {
  name: 'a transcription as subtitles',
  request: { form: [...FORM.form, { kind: 'field', name: 'response_format', value: 'srt' }] },
  sends: {
    path: '/v1/audio/transcriptions',
    form: SENT_FORM.replace(
      '--the-boundary--',
      '--the-boundary\r\ncontent-disposition: form-data; name="response_format"\r\n\r\nsrt\r\n--the-boundary--',
    ),
  },
  answer: { body: '1\n00:00:00,000 --> 00:00:01,000\nHi\n', contentType: 'text/plain; charset=utf-8', usage: null },
  malformed: [['nothing', '', 'text/plain'], html, other],
};

const transcription = [
  transcribed('a transcription with its length', '{"text":"Hi","usage":{"type":"duration","seconds":7}}', {
    audioMs: 7_000,
  }),
  transcribed('a verbose transcription', '{"task":"transcribe","duration":"2.0005","text":"Hi","segments":[]}', {
    audioMs: 2_001,
  }),
  transcribed(
    'a transcription counted in tokens',
    '{"text":"Hi","usage":{"type":"tokens","total_tokens":16,"input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":2}}',
    { input: 4, audioInput: 10, output: 2 },
  ),
  transcribed('a transcription that tells nothing', '{"text":""}', null),
  subtitles,
];

const TRANSLATIONS = '/v1/audio/translations';
const translation = [
  transcribed('a translation that tells nothing', '{"text":"Hi"}', null, TRANSLATIONS),
  transcribed(
    'a verbose translation',
    '{"task":"translate","language":"english","duration":2.5,"text":"Hi","segments":[]}',
    { audioMs: 2_500 },
    TRANSLATIONS,
  ),
  { ...subtitles, name: 'a translation as subtitles', sends: { ...subtitles.sends, path: TRANSLATIONS } },
];

const imageForm = (name: string, path: string): UnitTaskFixture => ({
  name,
  request: FORM,
  sends: { path, form: SENT_FORM },
  answer: { body: IMAGES, contentType: JSON_TYPE, usage: { images: 2, input: 10, output: 100 } },
  malformed: [nothing, html, other, cut(IMAGES), ['no image', '{"created":1,"data":[]}', JSON_TYPE]],
});

export const EDIT = { prompt: 'a boat', images: [{ image_url: 'https://a.test/b.png' }], n: 2 };
const imageEdit = [
  imageForm('an edit of images in a form', '/v1/images/edits'),
  {
    ...image,
    name: 'an edit of images at addresses',
    request: { json: { model: 'asked-model', ...EDIT } },
    sends: { path: '/v1/images/edits', json: { model: 'vendor/model-1', ...EDIT } },
  },
];

const RERANKED =
  '{"id":"r","model":"m","results":[{"index":2,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"meta":{"billed_units":{"search_units":1}},"usage":{"total_tokens":12}}';

const rerankRequest = {
  json: {
    model: 'asked-model',
    query: 'boat',
    documents: ['a', { text: 'b' }, 'c'],
    top_n: 2,
    return_documents: false,
  },
};

const rerank: UnitTaskFixture = {
  name: 'reranking as Cohere and Jina have it',
  request: rerankRequest,
  sends: { path: '/v1/rerank', json: { ...rerankRequest.json, model: 'vendor/model-1' } },
  answer: { body: RERANKED, contentType: JSON_TYPE, usage: { searchUnits: 1, input: 12 } },
  malformed: [
    nothing,
    html,
    other,
    cut(RERANKED),
    ['no results', '{"results":[]}', JSON_TYPE],
    ['a document nobody sent', '{"results":[{"index":3,"relevance_score":1}]}', JSON_TYPE],
    ['no score', '{"results":[{"index":0}]}', JSON_TYPE],
  ],
};

const rerankTooMany: UnitTaskFixture = {
  ...rerank,
  name: 'reranking that gives more than was asked for, in any order',
  answer: {
    body: '{"object":"list","data":[{"index":0,"relevance_score":0.1},{"index":1,"relevance_score":0.7,"document":"b"},{"index":2,"relevance_score":0.3}],"usage":{"total_tokens":5}}',
    contentType: JSON_TYPE,
    usage: { input: 5 },
    gives: {
      usage: { total_tokens: 5 },
      results: [
        { index: 1, relevance_score: 0.7, document: 'b' },
        { index: 2, relevance_score: 0.3 },
      ],
    },
  },
};

const teiRerank: UnitTaskFixture = {
  name: 'reranking by Text Embeddings Inference',
  target: { baseUrl: 'http://127.0.0.1:9/v1' },
  request: { json: { ...rerankRequest.json, return_documents: true, truncate: true } },
  sends: {
    path: '/rerank',
    json: { query: 'boat', texts: ['a', 'b', 'c'], truncate: true, return_text: true },
  },
  answer: {
    body: '[{"index":1,"score":0.5,"text":"b"},{"index":0,"score":0.9,"text":"a"},{"index":2,"score":0.1,"text":"c"}]',
    contentType: JSON_TYPE,
    usage: null,
    gives: {
      model: 'vendor/model-1',
      results: [
        { index: 0, relevance_score: 0.9, document: { text: 'a' } },
        { index: 1, relevance_score: 0.5, document: { text: 'b' } },
      ],
    },
  },
  malformed: [nothing, html, other, ['no list', '[]', JSON_TYPE], ['numbers', '[1]', JSON_TYPE]],
};

const MODERATED = '{"id":"modr-1","model":"m","results":[{"flagged":false,"categories":{}}]}';

const moderation: UnitTaskFixture = {
  name: 'moderation',
  request: { json: { model: 'asked-model', input: ['a', 'b'] } },
  sends: { path: '/v1/moderations', json: { model: 'vendor/model-1', input: ['a', 'b'] } },
  answer: { body: MODERATED, contentType: JSON_TYPE, usage: null },
  malformed: [nothing, html, other, cut(MODERATED), ['no result', '{"results":[]}', JSON_TYPE]],
};

export const openAiFixtures: Partial<Record<Task, UnitTaskFixture[]>> = {
  image: [image, imageWithoutUsage],
  'image-edit': imageEdit,
  'image-variation': [imageForm('a variation of an image', '/v1/images/variations')],
  speech: [speech],
  transcription,
  'audio-translation': translation,
  rerank: [rerank, rerankTooMany],
  moderation: [moderation],
};

export const teiFixtures: UnitTaskFixture[] = [teiRerank];

const { top_n: topK, ...named } = rerankRequest.json;

export const voyageRerank: UnitTaskFixture[] = [rerank, rerankTooMany].map((fixture) => ({
  ...fixture,
  sends: { path: '/v1/rerank', json: { ...named, top_k: topK, model: 'vendor/model-1' } },
}));

/** Reranking below another path. */
export function rerankAt(path: string): UnitTaskFixture[] {
  return [rerank, rerankTooMany].map((fixture) => ({ ...fixture, sends: { ...fixture.sends, path } }));
}
