import type {
  AnswerOutcome,
  Payload,
  ProviderAdapter,
  TaskHelper,
  UpstreamAnswer,
  UpstreamRoute,
  UpstreamTarget,
} from '../../domain/provider.js';
import type { CarriedForm, FormStep, Task, TaskRequest } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { writeObject } from '../../wire/json-text.js';
import { fileType, passed, readJsonAnswer, readMedia, refused } from '../../wire/plain-answer.js';
import { refuse } from '../../wire/task-request.js';
import { unitReport } from '../../wire/task-usage.js';
import { secondsOf } from '../answer-date.js';
import { membersOf } from '../json-payload.js';
import { applyRules, type ParameterRules } from '../parameter-rules.js';
import { fileContentType } from './file-type.js';

type RouteOf = (task: Task, target: UpstreamTarget) => UpstreamRoute;

const ANY_FILE = { accept: '*/*' };
const WITHOUT_EFFECT = ['user', 'stream', 'stream_format', 'partial_images'];

/**
 * OpenAI's images, speech and transcriptions by Hugging Face's own tasks. What those have no place for is refused by name.
 * Sources: https://huggingface.co/docs/inference-providers/tasks/text-to-image,
 * https://huggingface.co/docs/inference-providers/tasks/text-to-speech,
 * https://huggingface.co/docs/inference-providers/tasks/automatic-speech-recognition
 */
export function openAiTasks(routeOf: RouteOf): ProviderAdapter['tasks'] {
  return { image: image(routeOf), speech: speech(routeOf), transcription: transcription(routeOf) };
}

const IMAGE_RULES: ParameterRules = {
  leaveOut: WITHOUT_EFFECT,
  refuse: ['n', 'quality', 'style', 'background', 'moderation', 'output_format', 'output_compression'],
  rename: { prompt: 'inputs' },
};

/** One image, whose bytes are the answer: `size` is `width` and `height`, and everything else a parameter of the model. */
function image(routeOf: RouteOf): TaskHelper {
  return {
    makeRoute: (_request, target) => routeOf('text-to-image', target),
    prepareHeaders: () => ANY_FILE,
    preparePayload(request, target) {
      refuseStream(request, 'stream');
      const asked = applyRules(request, target, IMAGE_RULES);
      if ((asked.get('response_format') ?? 'null') !== 'null' && asked.get('response_format') !== '"b64_json"') {
        refuse('response_format', 'is `b64_json` at Hugging Face, which gives no addresses');
      }
      asked.delete('response_format');
      setSides(asked);
      return inputsPayload(request, target, asked);
    },
    getResponse(answer) {
      const read = readMedia(answer, unitReport('images', 1));
      if (!read.ok) return read;
      const data = [{ b64_json: answer.body.toString('base64') }];
      return passed(JSON.stringify({ created: secondsOf(answer.headers['date']), data }), read.answer.usage);
    },
  };
}

const SPEECH_RULES: ParameterRules = {
  leaveOut: WITHOUT_EFFECT,
  refuse: ['voice', 'response_format', 'speed', 'instructions'],
  rename: { input: 'inputs' },
};

/** A model has its own voice and format: `drop_params` leaves out what clients have to name. */
function speech(routeOf: RouteOf): TaskHelper {
  return {
    makeRoute: (_request, target) => routeOf('text-to-speech', target),
    prepareHeaders: () => ANY_FILE,
    preparePayload(request, target) {
      refuseStream(request, 'stream_format');
      return inputsPayload(request, target, applyRules(request, target, SPEECH_RULES));
    },
    getResponse: (answer) => readMedia(answer, null),
    relays: fileType,
  };
}

/** The recording's bytes alone: there is no place for anything else beside them. */
function transcription(routeOf: RouteOf): TaskHelper {
  return {
    makeRoute: (_request, target) => routeOf('automatic-speech-recognition', target),
    preparePayload: recordingPayload,
    getResponse: readTranscript,
  };
}

function refuseStream({ stream }: TaskRequest, param: string): void {
  if (stream) refuse(param, 'is not supported by Hugging Face, which answers this task whole; leave it out');
}

function setSides(asked: Map<string, string>): void {
  const size = asked.get('size') ?? 'null';
  asked.delete('size');
  if (size === 'null' || size === '"auto"') return;
  const [, width, height] = /^"(\d+)x(\d+)"$/.exec(size) ?? [];
  if (width === undefined || height === undefined) refuse('size', 'must be a width and a height, e.g. `1024x1024`');
  asked.set('width', width);
  asked.set('height', height);
}

/** `{inputs, parameters}`: what the config adds are parameters too. */
function inputsPayload(request: TaskRequest, target: UpstreamTarget, asked: ReadonlyMap<string, string>): Payload {
  const parameters = membersOf(request, target, asked);
  const inputs = parameters.get('inputs') ?? '""';
  parameters.delete('inputs');
  const members: Array<readonly [string, string]> = [['inputs', inputs]];
  if (parameters.size > 0) members.push(['parameters', writeObject(parameters)]);
  return { kind: 'json', body: writeObject(members) };
}

function recordingPayload(request: TaskRequest, target: UpstreamTarget): Payload {
  const { carried, body } = request;
  if (carried?.kind !== 'form') throw new Error('a transcription without a form');
  refuseStream(request, 'stream');
  const check = (name: string, value: unknown) => checkField(name, value, target);
  for (const name in body.value) check(name, body.value[name]);
  const contentType = fileContentType(carried.file ?? { filename: '', contentType: '' });
  const { whole } = carried;
  if (whole === null) return { kind: 'stream', contentType, body: () => recording(carried, check) };
  const isRecording = recordingFilter();
  const parts = whole.flatMap((step) => (isRecording(step) && step.kind === 'bytes' ? [step.bytes] : []));
  return { kind: 'bytes', contentType, body: Buffer.concat(parts) };
}

/** True for the steps of the first file: a form has one recording. */
function recordingFilter(): (step: FormStep) => boolean {
  let files = 0;
  return (step) => {
    if (step.kind === 'file') files += 1;
    return files === 1;
  };
}

/** @throws WaybillError invalid_request for a field behind the file that cannot be taken */
async function* recording(form: CarriedForm, check: (name: string, value: string) => void): AsyncGenerator<Buffer> {
  const isRecording = recordingFilter();
  for await (const step of form.read()) {
    if (step.kind === 'field') check(step.name, step.value);
    if (isRecording(step) && step.kind === 'bytes') yield step.bytes;
  }
}

/** What is asked for by a field besides the text of the recording. */
function checkField(name: string, value: unknown, { dropParams, providerId }: UpstreamTarget): void {
  if (name === 'model' || value === '' || dropParams.includes(name)) return;
  if (name === 'stream' && /^false$/i.test(String(value))) return;
  if (name === 'temperature' && Number(value) === 0) return;
  if (name === 'response_format' && (value === 'json' || value === 'text')) return;
  refuse(
    name,
    `is not supported by provider \`${providerId}\`, which takes the recording alone; \`drop_params\` can leave it out`,
  );
}

function readTranscript(answer: UpstreamAnswer, request: TaskRequest): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if ('ok' in read) return read;
  const { text, value } = read;
  if (!isJsonObject(value) || typeof value['text'] !== 'string') return refused('the provider’s answer has no text');
  if (request.body.value['response_format'] !== 'text') return passed(text, null);
  const body = Buffer.from(`${value['text']}\n`);
  const contentType = 'text/plain; charset=utf-8';
  return { ok: true, answer: { body, contentType, usage: null, outputTexts: () => [] } };
}
