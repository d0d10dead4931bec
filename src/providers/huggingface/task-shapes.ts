import type { Task } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';

type Shape = (value: unknown) => boolean;

/** What each task's answer looks like: https://huggingface.co/docs/huggingface.js/inference/README */
const SHAPES: { readonly [T in Task]?: Shape } = {
  'text-generation': oneOrMore(has('generated_text')),
  'image-to-text': oneOrMore(has('generated_text')),
  'image-text-to-text': oneOrMore(has('generated_text')),
  summarization: oneOrMore(has('summary_text')),
  translation: oneOrMore(has('translation_text')),
  'feature-extraction': (value) => isFilled(value) && deepest(value) === 'number',
  'sentence-similarity': (value) => isFilled(value) && value.every((item) => typeof item === 'number'),
  'fill-mask': listOf(has('token_str', 'score')),
  'text-classification': listOf(has('label', 'score')),
  'token-classification': maybeEmpty(has('score', 'start', 'end')),
  'zero-shot-classification': (value) => has('labels', 'scores')(value) || listOf(has('label', 'score'))(value),
  'question-answering': oneOrMore(has('answer', 'score')),
  'table-question-answering': oneOrMore(has('answer')),
  'image-classification': listOf(has('label', 'score')),
  'image-segmentation': maybeEmpty(has('label', 'mask')),
  'object-detection': maybeEmpty(has('label', 'score', 'box')),
  'audio-classification': listOf(has('label', 'score')),
  'automatic-speech-recognition': (value) => isJsonObject(value) && typeof value['text'] === 'string',
};

/** True for an answer that is one of its task. */
export function isTaskAnswer(task: Task, value: unknown): boolean {
  return SHAPES[task]?.(value) ?? true;
}

function has(...names: string[]): Shape {
  return (value) => isJsonObject(value) && names.every((name) => value[name] !== undefined);
}

function oneOrMore(shape: Shape): Shape {
  return (value) => shape(value) || (isFilled(value) && value.every(shape));
}

/** Some servers give one list for each input. */
function listOf(shape: Shape): Shape {
  return (value) => isFilled(value) && value.every((item) => shape(item) || (isFilled(item) && item.every(shape)));
}

function maybeEmpty(shape: Shape): Shape {
  return (value) =>
    Array.isArray(value) && value.every((item) => shape(item) || (Array.isArray(item) && item.every(shape)));
}

function isFilled(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 0;
}

function deepest(value: unknown): string {
  let inner = value;
  while (Array.isArray(inner)) inner = inner[0];
  return typeof inner;
}
