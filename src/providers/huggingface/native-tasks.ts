import type {
  AnswerOutcome,
  Payload,
  ProviderAdapter,
  TaskHelper,
  UpstreamAnswer,
  UpstreamRoute,
  UpstreamTarget,
} from '../../domain/provider.js';
import { HUGGING_FACE_TASKS, OTHER_TASK, type Task, type TaskRequest } from '../../domain/task.js';
import { isCount, noCounts, type UsageReport } from '../../domain/usage.js';
import { isJsonObject } from '../../wire/json-object.js';
import { writeObject } from '../../wire/json-text.js';
import { isJsonType, passed, readJsonAnswer, readMedia, refused } from '../../wire/plain-answer.js';
import { unitReport } from '../../wire/task-usage.js';
import { membersOf } from '../json-payload.js';
import { isTaskAnswer } from './task-shapes.js';

/** Tasks whose answer is a file. */
const MEDIA = new Set<Task>(['text-to-image', 'image-to-image', 'text-to-speech', 'text-to-video']);
const IMAGES = new Set<Task>(['text-to-image', 'image-to-image']);
/** Chats are asked of the chat helper. */
const NATIVE: readonly Task[] = [...HUGGING_FACE_TASKS.filter((task) => task !== 'conversational'), OTHER_TASK];

/**
 * Hugging Face's tasks in their own shapes: `{inputs, parameters}` or bytes in, the task's answer out, both as they are.
 * Source: https://huggingface.co/docs/inference-providers/tasks/index
 */
export function nativeTasks(routeOf: (task: Task, target: UpstreamTarget) => UpstreamRoute): ProviderAdapter['tasks'] {
  return Object.fromEntries(NATIVE.map((task) => [task, nativeHelper(task, routeOf)]));
}

function nativeHelper(task: Task, routeOf: (task: Task, target: UpstreamTarget) => UpstreamRoute): TaskHelper {
  const read = MEDIA.has(task) ? readFile : task === OTHER_TASK ? readAnything : readShape;
  return {
    makeRoute: (_request, target) => routeOf(task, target),
    prepareHeaders: (): Record<string, string> => (MEDIA.has(task) || task === OTHER_TASK ? { accept: '*/*' } : {}),
    preparePayload,
    getResponse: (answer) => read(answer, task),
  };
}

function preparePayload(request: TaskRequest, target: UpstreamTarget): Payload {
  const { carried } = request;
  if (carried?.kind === 'bytes') return { kind: 'bytes', body: carried.bytes, contentType: carried.contentType };
  return { kind: 'json', body: writeObject(membersOf(request, target)) };
}

function readFile(answer: UpstreamAnswer, task: Task): AnswerOutcome {
  return readMedia(answer, IMAGES.has(task) ? unitReport('images', 1) : null);
}

function readShape(answer: UpstreamAnswer, task: Task): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if ('ok' in read) return read;
  const { text, value } = read;
  if (!isTaskAnswer(task, value)) return refused(`the provider’s answer is none of ${task}`);
  return passed(text, generatedTokens(value), () => writtenTexts(value));
}

/** A task that is not known: an error is an error, and everything else an answer. */
function readAnything(answer: UpstreamAnswer): AnswerOutcome {
  const contentType = answer.headers['content-type'];
  if (answer.body.length === 0) return refused('the provider answered with nothing');
  if (isJsonType(contentType)) {
    const read = readJsonAnswer(answer);
    return 'ok' in read ? read : passed(read.text, null);
  }
  const type = contentType ?? 'application/octet-stream';
  return { ok: true, answer: { body: answer.body, contentType: type, usage: null, outputTexts: () => [] } };
}

const WRITTEN = ['generated_text', 'summary_text', 'translation_text'] as const;

function writtenTexts(value: unknown): string[] {
  return items(value).flatMap((item) =>
    WRITTEN.flatMap((name) => (typeof item[name] === 'string' ? [item[name]] : [])),
  );
}

/** Text Generation Inference tells its tokens where `details` are asked for. */
function generatedTokens(value: unknown): UsageReport | null {
  const [first] = items(value);
  const details = first?.['details'];
  if (!isJsonObject(details) || !isCount(details['generated_tokens'])) return null;
  const { prefill } = details;
  const input = Array.isArray(prefill) && prefill.length > 0 ? prefill.length : null;
  const counts = { ...noCounts(), input, output: details['generated_tokens'] };
  return { counts, providerCostUsd: null, problems: [] };
}

function items(value: unknown): Array<Record<string, unknown>> {
  return (Array.isArray(value) ? value : [value]).filter(isJsonObject);
}
