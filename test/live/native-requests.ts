import { type FormStep, HUGGING_FACE_TASKS, type Task } from '../../src/domain/task.js';
import { writePng, writeWav } from '../../src/providers/sandbox/files.js';
import type { UnitTaskFixture } from '../conformance/unit-tasks.js';

const PNG = { bytes: writePng(7), contentType: 'image/png' };
const WAV = { bytes: writeWav(7, 1_000), contentType: 'audio/wav' };

/** Hugging Face's tasks, with payloads as its documentation has them. */
const JSONS: { readonly [T in Task]?: object } = {
  'text-generation': { inputs: 'Once upon a time', parameters: { max_new_tokens: 8 } },
  'feature-extraction': { inputs: 'a boat on the sea' },
  'sentence-similarity': { inputs: { source_sentence: 'a boat', sentences: ['a ship', 'a loaf of bread'] } },
  summarization: { inputs: 'The tower is 324 metres tall, about the same height as a building of 81 storeys.' },
  translation: { inputs: 'translate English to German: The house is big.' },
  'fill-mask': { inputs: 'The capital of France is [MASK].' },
  'text-classification': { inputs: 'I like this.' },
  'token-classification': { inputs: 'My name is Sarah and I live in London.' },
  'zero-shot-classification': { inputs: 'I was charged twice.', parameters: { candidate_labels: ['refund', 'legal'] } },
  'question-answering': { inputs: { question: 'Where do I live?', context: 'I live in Lisbon.' } },
  'table-question-answering': { inputs: { query: 'How many stars?', table: { Name: ['A'], Stars: ['3'] } } },
  'text-to-image': { inputs: 'a red square on white', parameters: { num_inference_steps: 1 } },
  'text-to-speech': { inputs: 'Hello.' },
  'text-to-video': { inputs: 'a red square', parameters: { num_frames: 8 } },
  'image-text-to-text': { inputs: 'What is this?' },
};

const SOUNDS: readonly Task[] = ['automatic-speech-recognition', 'audio-classification'];

const tone = fileSteps('file', 'tone.wav', WAV);
const square = fileSteps('image', 'square.png', PNG);

/** OpenAI's tasks that take a file. */
const FORMS: { readonly [T in Task]?: readonly FormStep[] } = {
  transcription: tone,
  'audio-translation': tone,
  'image-edit': [...square, { kind: 'field', name: 'prompt', value: 'a red square on white' }],
  'image-variation': square,
};

function fileSteps(name: string, filename: string, file: { bytes: Buffer; contentType: string }): FormStep[] {
  return [
    { kind: 'file', name, filename, contentType: file.contentType },
    { kind: 'bytes', bytes: file.bytes },
  ];
}

/** Null for a task that has nothing of its own to ask: any that is not known, and chat by another name. */
export function nativeRequest(task: Task): UnitTaskFixture['request'] | null {
  const form = FORMS[task];
  if (form !== undefined) return { form };
  const json = JSONS[task];
  if (json !== undefined) return { json };
  if (task === 'conversational' || !(HUGGING_FACE_TASKS as readonly Task[]).includes(task)) return null;
  return SOUNDS.includes(task) ? WAV : PNG;
}
