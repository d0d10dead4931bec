import type { Task } from '../../src/domain/task.js';
import { EDIT, FORM, image, openAiFixtures, PNG, transcribed } from './unit-task-fixtures.js';
import type { UnitTaskFixture } from './unit-tasks.js';

/** Providers that speak these tasks as OpenAI does, with differences. */

/** Transcriptions and translations of those who have no subtitles. */
export function withoutSubtitles(task: Task): UnitTaskFixture[] {
  return (openAiFixtures[task] ?? []).filter(({ name }) => !name.endsWith('as subtitles'));
}

export const togetherImage: UnitTaskFixture[] = [
  {
    ...image,
    request: {
      json: { model: 'asked-model', prompt: 'a boat', n: 2, size: '512x768', response_format: 'b64_json', user: 'u' },
    },
    sends: {
      path: '/v1/images/generations',
      json: { model: 'vendor/model-1', prompt: 'a boat', n: 2, width: 512, height: 768, response_format: 'base64' },
    },
  },
];

const GROK_IMAGE = { type: 'image_url', url: 'https://a.test/b.png' };
const UPLOADED = { type: 'image_url', url: `data:image/png;base64,${PNG.toString('base64')}` };
const fileOf = (name: string) =>
  [
    { kind: 'file', name, filename: 'a.png', contentType: 'image/png' },
    { kind: 'bytes', bytes: PNG },
  ] as const;

/** Edits of images in JSON alone. */
export const grokEdit: UnitTaskFixture[] = [
  {
    ...image,
    name: 'an edit of an image at an address',
    request: { json: { model: 'asked-model', ...EDIT } },
    sends: { path: '/v1/images/edits', json: { model: 'vendor/model-1', prompt: 'a boat', n: 2, image: GROK_IMAGE } },
  },
  {
    ...image,
    name: 'an edit of images as xAI has it',
    request: { json: { model: 'asked-model', prompt: 'a boat', images: [GROK_IMAGE, GROK_IMAGE] } },
    sends: {
      path: '/v1/images/edits',
      json: { model: 'vendor/model-1', prompt: 'a boat', images: [GROK_IMAGE, GROK_IMAGE] },
    },
  },
  {
    ...image,
    name: 'an edit of images in a form',
    request: {
      whole: true,
      form: [
        ...fileOf('image[]'),
        ...fileOf('image[]'),
        { kind: 'field', name: 'prompt', value: 'a boat' },
        { kind: 'field', name: 'n', value: '2' },
      ],
    },
    sends: {
      path: '/v1/images/edits',
      json: { model: 'vendor/model-1', prompt: 'a boat', n: 2, images: [UPLOADED, UPLOADED] },
    },
  },
];

const VOXTRAL =
  '{"model":"voxtral","text":"Hi","language":"en","segments":[],"usage":{"prompt_audio_seconds":7,"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}';

export const mistralTranscription: UnitTaskFixture[] = [
  transcribed('a transcription of Voxtral', VOXTRAL, { audioMs: 7_000, input: 4, output: 2 }),
  {
    ...transcribed('a transcription in JSON, which is the only format', VOXTRAL, {
      audioMs: 7_000,
      input: 4,
      output: 2,
    }),
    request: { form: [...FORM.form, { kind: 'field', name: 'response_format', value: 'json' }] },
  },
];
