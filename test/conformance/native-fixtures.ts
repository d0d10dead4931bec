import type { Task } from '../../src/domain/task.js';
import { cut, html, JSON_TYPE, nothing, other, PNG } from './unit-task-fixtures.js';
import type { UnitTaskFixture } from './unit-tasks.js';

/** Each task's payload and answer as Hugging Face documents them, and an answer that is of another task. */
const NATIVE: Partial<
  Record<Task, { json?: object; bytes?: Buffer; answers: string[]; texts?: string[]; not: string[] }>
> = {
  'text-generation': {
    json: { inputs: 'Once', parameters: { max_new_tokens: 3 } },
    answers: ['[{"generated_text":" upon"}]', '{"generated_text":" upon"}'],
    texts: [' upon'],
    not: ['[]', '[{"summary_text":"x"}]'],
  },
  summarization: { json: { inputs: 'long' }, answers: ['[{"summary_text":"s"}]'], texts: ['s'], not: ['[]', '[{}]'] },
  translation: {
    json: { inputs: 'dog' },
    answers: ['[{"translation_text":"chien"}]'],
    texts: ['chien'],
    not: ['[{}]'],
  },
  'image-to-text': { bytes: PNG, answers: ['[{"generated_text":"a dog"}]'], texts: ['a dog'], not: ['[]'] },
  'image-text-to-text': { json: { inputs: 'x' }, answers: ['[{"generated_text":"a"}]'], texts: ['a'], not: ['[1]'] },
  'feature-extraction': { json: { inputs: 'x' }, answers: ['[0.5,1]', '[[[0.1]]]'], not: ['[]', '["a"]'] },
  'sentence-similarity': {
    json: { inputs: { source_sentence: 'a', sentences: ['b', 'c'] } },
    answers: ['[0.5,0.25]'],
    not: ['[]', '[[0.5]]'],
  },
  'fill-mask': {
    json: { inputs: 'a [MASK]' },
    answers: ['[{"score":1,"token":5,"token_str":"b","sequence":"a b"}]', '[[{"score":1,"token_str":"b"}]]'],
    not: ['[]', '[{"score":1}]'],
  },
  'text-classification': {
    json: { inputs: 'a' },
    answers: ['[[{"label":"P","score":0.9}]]', '[{"label":"P","score":0.9}]'],
    not: ['[]', '[[]]', '[{"label":"P"}]'],
  },
  'token-classification': {
    json: { inputs: 'A' },
    answers: ['[]', '[{"entity_group":"PER","score":0.9,"word":"A","start":0,"end":1}]'],
    not: ['[{"score":1}]', '{}'],
  },
  'zero-shot-classification': {
    json: { inputs: 'a', parameters: { candidate_labels: ['x'] } },
    answers: ['{"sequence":"a","labels":["x"],"scores":[1]}', '[{"label":"x","score":1}]'],
    not: ['{"labels":["x"]}'],
  },
  'question-answering': {
    json: { inputs: { question: 'q', context: 'c' } },
    answers: ['{"score":1,"start":0,"end":1,"answer":"c"}'],
    not: ['{"score":1}'],
  },
  'table-question-answering': {
    json: { inputs: { query: 'q', table: { a: ['1'] } } },
    answers: ['{"answer":"1","cells":["1"]}'],
    not: ['{"cells":[]}'],
  },
  'image-classification': { bytes: PNG, answers: ['[{"label":"dog","score":0.9}]'], not: ['[]', '[{"label":"d"}]'] },
  'image-segmentation': { bytes: PNG, answers: ['[{"label":"dog","mask":"AA=="}]'], not: ['[{"label":"dog"}]'] },
  'object-detection': {
    bytes: PNG,
    answers: ['[]', '[{"label":"dog","score":0.9,"box":{"xmin":0}}]'],
    not: ['[{"label":"dog","score":0.9}]'],
  },
  'audio-classification': { bytes: PNG, answers: ['[{"label":"dog","score":0.9}]'], not: ['[]'] },
  'automatic-speech-recognition': {
    bytes: PNG,
    answers: ['{"text":"hi","chunks":[]}'],
    not: ['{"text":1}', '[{"text":"hi"}]'],
  },
};

const MEDIA: Partial<Record<Task, { type: string; images: number | null }>> = {
  'text-to-image': { type: 'image/png', images: 1 },
  'image-to-image': { type: 'image/jpeg', images: 1 },
  'text-to-speech': { type: 'audio/flac', images: null },
  'text-to-video': { type: 'video/mp4', images: null },
};

/** Fixtures of a Hugging Face task that is asked at `path`. */
export function nativeFixtures(task: Task, path: string): UnitTaskFixture[] {
  const media = MEDIA[task];
  if (media !== undefined) {
    return [
      {
        name: task,
        request: { json: { inputs: 'a boat', parameters: { width: 8 } } },
        sends: { path, json: { inputs: 'a boat', parameters: { width: 8 } } },
        answer: { body: PNG, contentType: media.type, usage: media.images === null ? null : { images: media.images } },
        malformed: [nothing, html, other, ['no bytes', '', media.type]],
      },
    ];
  }
  if (task === 'other') {
    return [
      {
        name: 'a task that is not known',
        request: { bytes: PNG, contentType: 'image/png' },
        sends: { path, bytes: PNG },
        answer: { body: PNG, contentType: 'application/x-depth', usage: null },
        malformed: [nothing, ['JSON that is cut', '{"a":', JSON_TYPE]],
      },
      {
        name: 'a task that is not known, in JSON',
        request: { json: { inputs: 1 } },
        sends: { path, json: { inputs: 1 } },
        answer: { body: '{"depth":[1]}', contentType: JSON_TYPE, usage: null },
        malformed: [nothing],
      },
    ];
  }
  if (task === 'text-generation') {
    const body = '[{"generated_text":"a b","details":{"generated_tokens":2,"prefill":[{"id":1},{"id":2},{"id":3}]}}]';
    const [fixture] = shapesOf(task, path) as [UnitTaskFixture];
    const answer = { body, contentType: JSON_TYPE, usage: { input: 3, output: 2 }, texts: ['a b'] };
    return [...shapesOf(task, path), { ...fixture, name: 'text-generation with details', answer }];
  }
  return shapesOf(task, path);
}

function shapesOf(task: Task, path: string): UnitTaskFixture[] {
  const { json, bytes, answers, texts, not } = NATIVE[task] ?? { answers: [], not: [] };
  return answers.map((body, index) => ({
    name: `${task}, in shape ${index + 1}`,
    request: json === undefined ? { bytes: bytes ?? PNG, contentType: 'image/png' } : { json },
    sends: json === undefined ? { path, bytes: bytes ?? PNG } : { path, json },
    answer: { body, contentType: JSON_TYPE, usage: null, ...(texts === undefined ? {} : { texts }) },
    malformed: [
      nothing,
      html,
      other,
      cut(body),
      ...not.map((wrong, at) => [`another task's answer (${at + 1})`, wrong, JSON_TYPE] as const),
    ],
  }));
}

const ASKED = '/hf-inference/models/vendor/model-1';
const HEARD = '{"text":"hi","chunks":[]}';
const recording = (name: string, response?: string): UnitTaskFixture => ({
  name,
  isBare: true,
  request: {
    whole: true,
    form: [
      ...(response === undefined ? [] : [{ kind: 'field', name: 'response_format', value: response } as const]),
      { kind: 'file', name: 'file', filename: 'a.FLAC', contentType: 'application/octet-stream' },
      { kind: 'bytes', bytes: PNG },
      { kind: 'bytes', bytes: PNG },
    ],
  },
  sends: { path: ASKED, bytes: Buffer.concat([PNG, PNG]) },
  answer: { body: HEARD, contentType: JSON_TYPE, usage: null },
  malformed: [nothing, html, other, cut(HEARD), ['a text that is none', '{"text":1}', JSON_TYPE]],
});

/** OpenAI's tasks by Hugging Face's own. */
export const huggingFaceFixtures: Partial<Record<Task, UnitTaskFixture[]>> = {
  image: [
    {
      name: 'an image by text-to-image',
      request: {
        json: {
          model: 'asked-model',
          prompt: 'a boat',
          n: 1,
          size: '512x768',
          response_format: 'b64_json',
          seed: 7,
          user: 'u',
        },
      },
      sends: { path: ASKED, json: { inputs: 'a boat', parameters: { seed: 7, width: 512, height: 768 } } },
      answer: {
        body: PNG,
        contentType: 'image/png',
        gives: { created: 0, data: [{ b64_json: PNG.toString('base64') }] },
        givesType: JSON_TYPE,
        usage: { images: 1 },
      },
      malformed: [nothing, html, other, ['no bytes', '', 'image/png']],
    },
  ],
  speech: [
    {
      name: 'speech by text-to-speech',
      request: { json: { model: 'asked-model', input: 'Hello', speed: 1, stream_format: 'audio' } },
      sends: { path: ASKED, json: { inputs: 'Hello' } },
      answer: { body: PNG, contentType: 'audio/flac', usage: null },
      malformed: [nothing, html, other, ['no bytes', '', 'audio/flac']],
    },
  ],
  transcription: [
    recording('a transcription of a recording'),
    recording('a transcription as JSON', 'json'),
    {
      ...recording('a transcription as text', 'text'),
      answer: { body: HEARD, contentType: JSON_TYPE, givesBytes: 'hi\n', givesType: 'text/plain', usage: null },
    },
  ],
};
