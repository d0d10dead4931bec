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
import { isJsonObject } from '../wire/json-object.js';
import {
  IMAGE_EDIT_EVENTS,
  IMAGE_EVENTS,
  type MediaEvents,
  MediaStreamReader,
  SPEECH_EVENTS,
  TRANSCRIPT_EVENTS,
} from '../wire/media-stream.js';
import { fileType, isJsonType, passed, readJsonAnswer, readMedia, refused } from '../wire/plain-answer.js';
import { refuse } from '../wire/task-request.js';
import { reportedAudioMs, tokenUsage, usageWithUnit } from '../wire/task-usage.js';
import { membersOf, namedPayload } from './json-payload.js';
import { apiRoot } from './openai-compatible.js';
import { applyRules, type ParameterRules } from './parameter-rules.js';

/** The tasks of OpenAI's API beside text and vectors. */
export const MEDIA_TASKS = [
  ...(['image', 'image-edit', 'image-variation'] as const),
  ...(['speech', 'transcription', 'audio-translation', 'moderation'] as const),
] satisfies readonly Task[];

export type MediaTask = (typeof MEDIA_TASKS)[number];

/** What differs between providers that have these tasks. */
export interface MediaSettings {
  /** The path of a base URL that has none of its own. Default: `/v1`. */
  defaultPath?: string;
  /** The URL of one endpoint, where it is not the root and the endpoint's path. */
  url?: (target: UpstreamTarget, path: string) => string;
  /** Tasks that this provider streams as OpenAI does. Default: all that OpenAI streams. */
  streams?: readonly MediaTask[];
  /** The words of a stream's events, where they are not OpenAI's. */
  events?: { readonly [T in MediaTask]?: MediaEvents };
  /** Parameters in JSON that are taken in another way, or not at all. */
  parameters?: { readonly [T in MediaTask]?: ParameterRules };
  /** The same of a form's fields. */
  fields?: { readonly [T in MediaTask]?: FieldRules };
}

/** What a provider does not take of a form. A field that comes behind the file, of a form passed along, is its own to refuse. */
export interface FieldRules {
  /** Fields it has not. */
  refuse?: readonly string[];
  /** The `response_format`s it has; where JSON is the only one, the field is left out. */
  formats?: readonly string[];
}

/** A helper and the path of its task. */
type MediaHelper = Omit<TaskHelper, 'makeRoute' | 'preparePayload'> & { path: string; events?: MediaEvents };

/** Formats of a transcription that are no JSON. */
const TEXT_FORMATS = new Set(['text', 'srt', 'vtt']);
const ANY_FILE = { accept: '*/*' };

/** Images. Source: https://platform.openai.com/docs/api-reference/images/create */
const image: MediaHelper = { path: '/images/generations', getResponse: readImages, events: IMAGE_EVENTS };

/** Images made of images: a form, or JSON. Source: https://platform.openai.com/docs/api-reference/images/createEdit */
const imageEdit: MediaHelper = { path: '/images/edits', getResponse: readImages, events: IMAGE_EDIT_EVENTS };

/** A form. Source: https://platform.openai.com/docs/api-reference/images/createVariation */
const imageVariation: MediaHelper = { path: '/images/variations', getResponse: readImages };

/**
 * Text to speech: a recording, or events where `stream_format` is `sse`.
 * Source: https://platform.openai.com/docs/api-reference/audio/createSpeech
 */
const speech: MediaHelper = {
  path: '/audio/speech',
  getResponse: (answer) => readMedia(answer, null),
  prepareHeaders: ({ stream }) => (stream ? {} : ANY_FILE),
  relays: fileType,
  events: SPEECH_EVENTS,
};

/** A form whose recording becomes text. */
const listening: Omit<MediaHelper, 'path'> = {
  prepareHeaders: () => ANY_FILE,
  getResponse: readTranscript,
};

/** Speech to text. Source: https://platform.openai.com/docs/api-reference/audio/createTranscription */
const transcription: MediaHelper = {
  ...listening,
  path: '/audio/transcriptions',
  events: TRANSCRIPT_EVENTS,
};

/** Speech of any language to English text. Source: https://platform.openai.com/docs/api-reference/audio/createTranslation */
const translation: MediaHelper = { ...listening, path: '/audio/translations' };

/** Free of charge at OpenAI, and without usage. Source: https://platform.openai.com/docs/api-reference/moderations */
const moderation: MediaHelper = {
  path: '/moderations',
  getResponse: (answer) => readList(answer, 'results', tokenUsage),
};

const HELPERS: Readonly<Record<MediaTask, MediaHelper>> = {
  image,
  'image-edit': imageEdit,
  'image-variation': imageVariation,
  speech,
  transcription,
  'audio-translation': translation,
  moderation,
};

/** The helper of one of these tasks for a provider that speaks it as OpenAI does, below its own path. */
export function openAiMediaHelper(task: MediaTask, settings: MediaSettings = {}): TaskHelper {
  const { path, events: usual, ...rest } = HELPERS[task];
  const { defaultPath = '/v1', url = (target) => `${apiRoot(target.baseUrl, defaultPath)}${path}`, streams } = settings;
  const events = settings.events?.[task] ?? usual;
  const isStreamed = events !== undefined && streams?.includes(task) !== false;
  return {
    ...rest,
    makeRoute: (_request, target) => ({ method: 'POST', url: url(target, path) }),
    preparePayload(request, target) {
      if (request.stream && !isStreamed)
        refuse(STREAM_PARAMS[task] ?? 'stream', 'this provider answers whole; leave it out');
      if (request.carried !== undefined) return formPayload(request, target, settings.fields?.[task] ?? {});
      const rules = settings.parameters?.[task] ?? (isStreamed ? null : WHOLE);
      const asked = rules === null ? request.body.members : applyRules(request, target, rules);
      return namedPayload(membersOf(request, target, asked), target);
    },
    ...(isStreamed ? { openStream: () => new MediaStreamReader(events) } : {}),
  };
}

const STREAM_PARAMS: { readonly [T in MediaTask]?: string } = { speech: 'stream_format' };
/** Without a stream there is nothing to say of one. */
const WHOLE: ParameterRules = { leaveOut: ['stream', 'stream_format', 'partial_images'] };

/** An adapter with more tasks than it had; its own helpers stay. */
export function withTasks(adapter: ProviderAdapter, tasks: ProviderAdapter['tasks']): ProviderAdapter {
  return { ...adapter, tasks: { ...adapter.tasks, ...tasks, ...adapter.tasks } };
}

export function openAiMedia(
  tasks: readonly MediaTask[] = MEDIA_TASKS,
  settings: MediaSettings = {},
): ProviderAdapter['tasks'] {
  return Object.fromEntries(tasks.map((task) => [task, openAiMediaHelper(task, settings)]));
}

/** A model that cannot stream takes no notice of being asked to: its text is the last event, and the only one. */
function withEvents(outcome: AnswerOutcome, { text, usage, duration }: JsonObject): AnswerOutcome {
  const data = JSON.stringify({ type: TRANSCRIPT_EVENTS.final, text, duration, usage });
  return outcome.ok ? { ok: true, answer: { ...outcome.answer, events: [{ name: null, data }] } } : outcome;
}

function readImages(answer: UpstreamAnswer): AnswerOutcome {
  return readList(answer, 'data', (read, images) => usageWithUnit(read, 'images', images));
}

function readTranscript(answer: UpstreamAnswer, request: TaskRequest): AnswerOutcome {
  const format = request.body.value['response_format'];
  if (isJsonType(answer.headers['content-type']) || !TEXT_FORMATS.has(String(format))) {
    const read = readJsonAnswer(answer);
    if ('ok' in read) return read;
    const { text, value } = read;
    if (!isJsonObject(value) || typeof value['text'] !== 'string') return refused('the provider’s answer has no text');
    const outcome = passed(text, usageWithUnit({ text, value }, 'audioMs', reportedAudioMs(value)));
    return request.stream ? withEvents(outcome, value) : outcome;
  }
  const contentType = answer.headers['content-type'] ?? 'text/plain; charset=utf-8';
  if (answer.body.length === 0) return refused('the provider answered with nothing');
  if (/^text\/html\b/i.test(contentType)) return refused('the provider answered with a web page');
  return { ok: true, answer: { body: answer.body, contentType, usage: null, outputTexts: () => [] } };
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
  const list = isJsonObject(value) ? value[name] : undefined;
  if (!isJsonObject(value) || !Array.isArray(list) || list.length === 0) {
    return refused(`the provider’s answer has no ${name}`);
  }
  return passed(text, usageOf({ text, value }, list.length));
}

/** The client's form with the provider's name of the model, as bytes where it is whole, else passed along as it comes. */
function formPayload(request: TaskRequest, target: UpstreamTarget, rules: FieldRules): Payload {
  const { carried } = request;
  if (carried?.kind !== 'form') throw new Error(`${request.task} without a form`);
  const add = Object.entries(target.extraBody).map(
    ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)] as const,
  );
  const drop = [...target.dropParams, ...fieldsLeftOut(request, target, rules)];
  const edits = { set: [['model', target.providerModel]] as const, add, drop };
  const contentType = formContentType(carried);
  const { whole } = carried;
  if (whole !== null) return { kind: 'bytes', contentType, body: wholeForm(carried.boundary, whole, edits) };
  return { kind: 'stream', contentType, body: () => writeForm(carried, edits) };
}

/** @throws WaybillError invalid_request for a field that this provider has not */
function fieldsLeftOut({ body }: TaskRequest, target: UpstreamTarget, rules: FieldRules): string[] {
  const isGiven = (name: string) => (body.value[name] ?? '') !== '' && !target.dropParams.includes(name);
  for (const name of rules.refuse ?? []) {
    if (isGiven(name)) refuse(name, `is not supported by provider \`${target.providerId}\``);
  }
  const { formats } = rules;
  if (formats === undefined || !isGiven('response_format')) return [];
  if (!formats.includes(String(body.value['response_format']))) {
    refuse('response_format', `is one of ${formats.join(', ')} at provider \`${target.providerId}\``);
  }
  return formats.length === 1 ? ['response_format'] : [];
}
