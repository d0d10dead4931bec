import type {
  AnswerOutcome,
  Payload,
  ProviderAdapter,
  TaskHelper,
  UpstreamAnswer,
  UpstreamTarget,
} from '../domain/provider.js';
import type { JsonObject, Task, TaskRequest } from '../domain/task.js';
import type { UsageReport } from '../domain/usage.js';
import { formContentType, wholeForm, writeForm } from '../wire/form.js';
import { isJsonType, isObject, passed, readJsonAnswer, readMedia, refused } from '../wire/plain-answer.js';
import { reportedAudioMs, tokenUsage, usageWithUnit } from '../wire/task-usage.js';
import { membersOf, namedPayload } from './json-payload.js';
import { apiRoot } from './openai-compatible.js';

/** The tasks of OpenAI's API beside text and vectors. */
export const MEDIA_TASKS = ['image', 'speech', 'transcription', 'moderation'] as const satisfies readonly Task[];

export type MediaTask = (typeof MEDIA_TASKS)[number];

/** A helper and the path of its task. */
type MediaHelper = Omit<TaskHelper, 'makeRoute'> & { path: string };

/** Formats of a transcription that are no JSON. */
const TEXT_FORMATS = new Set(['text', 'srt', 'vtt']);

/** Images. Source: https://platform.openai.com/docs/api-reference/images/create */
const image = jsonTask('/images/generations', (answer) =>
  readList(answer, 'data', (read, images) => usageWithUnit(read, 'images', images)),
);

/** Text to speech: a recording. Source: https://platform.openai.com/docs/api-reference/audio/createSpeech */
const speech: MediaHelper = {
  ...jsonTask('/audio/speech', (answer) => readMedia(answer, null)),
  prepareHeaders: () => ({ accept: '*/*' }),
};

/** Speech to text: a form. Source: https://platform.openai.com/docs/api-reference/audio/createTranscription */
const transcription: MediaHelper = {
  path: '/audio/transcriptions',
  prepareHeaders: () => ({ accept: '*/*' }),
  preparePayload: formPayload,
  getResponse(answer, request) {
    const format = request.body.value['response_format'];
    if (isJsonType(answer.headers['content-type']) || !TEXT_FORMATS.has(String(format))) {
      const read = readJsonAnswer(answer);
      if ('ok' in read) return read;
      const { text, value } = read;
      if (!isObject(value) || typeof value['text'] !== 'string') return refused('the provider’s answer has no text');
      return passed(text, usageWithUnit({ text, value }, 'audioMs', reportedAudioMs(value)));
    }
    const contentType = answer.headers['content-type'] ?? 'text/plain; charset=utf-8';
    if (answer.body.length === 0) return refused('the provider answered with nothing');
    if (/^text\/html\b/i.test(contentType)) return refused('the provider answered with a web page');
    return { ok: true, answer: { body: answer.body, contentType, usage: null, outputTexts: () => [] } };
  },
};

/** Free of charge at OpenAI, and without usage. Source: https://platform.openai.com/docs/api-reference/moderations */
const moderation = jsonTask('/moderations', (answer) => readList(answer, 'results', tokenUsage));

const HELPERS: Readonly<Record<MediaTask, MediaHelper>> = {
  image,
  speech,
  transcription,
  moderation,
};

/** The helper of one of these tasks for a provider that speaks it as OpenAI does, below its own path. */
export function openAiMediaHelper(task: MediaTask, { defaultPath = '/v1' }: { defaultPath?: string } = {}): TaskHelper {
  const { path, ...helper } = HELPERS[task];
  return {
    ...helper,
    makeRoute: (_request, target) => ({ method: 'POST', url: `${apiRoot(target.baseUrl, defaultPath)}${path}` }),
  };
}

/** An adapter with more tasks than it had; its own helpers stay. */
export function withTasks(adapter: ProviderAdapter, tasks: ProviderAdapter['tasks']): ProviderAdapter {
  return { ...adapter, tasks: { ...adapter.tasks, ...tasks, ...adapter.tasks } };
}

export function openAiMedia(tasks: readonly MediaTask[] = MEDIA_TASKS): ProviderAdapter['tasks'] {
  return Object.fromEntries(tasks.map((task) => [task, openAiMediaHelper(task)]));
}

function jsonTask(path: string, getResponse: (answer: UpstreamAnswer) => AnswerOutcome): MediaHelper {
  return {
    path,
    preparePayload: (request, target) => namedPayload(membersOf(request, target), target),
    getResponse,
  };
}

/** An answer whose substance is one list, which may not be empty. */
function readList(
  answer: UpstreamAnswer,
  name: 'data' | 'results',
  usageOf: (read: { text: string; value: JsonObject }, items: number) => UsageReport | null,
): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if ('ok' in read) return read;
  const { text, value } = read;
  const list = isObject(value) ? value[name] : undefined;
  if (!isObject(value) || !Array.isArray(list) || list.length === 0) {
    return refused(`the provider’s answer has no ${name}`);
  }
  return passed(text, usageOf({ text, value }, list.length));
}

/** The client's form with the provider's name of the model, as bytes where it is whole, else passed along as it comes. */
function formPayload(request: TaskRequest, target: UpstreamTarget): Payload {
  const { carried } = request;
  if (carried?.kind !== 'form') throw new Error('a transcription without a form');
  const add = Object.entries(target.extraBody).map(
    ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)] as const,
  );
  const edits = { set: [['model', target.providerModel]] as const, add, drop: target.dropParams };
  const contentType = formContentType(carried);
  const { whole } = carried;
  if (whole !== null) return { kind: 'bytes', contentType, body: wholeForm(carried.boundary, whole, edits) };
  return { kind: 'stream', contentType, body: () => writeForm(carried, edits) };
}
