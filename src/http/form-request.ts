import { randomUUID } from 'node:crypto';
import { WaybillError } from '../domain/errors.js';
import type { FormStep, JsonBody, Task, TaskRequest } from '../domain/task.js';
import { writeObject } from '../wire/json-text.js';
import { refuse, refuseStream } from '../wire/task-request.js';
import { readForm } from './form-steps.js';
import { idempotencyKey } from './idempotent.js';
import type { NodeExchange } from './node-exchange.js';
import { jsonRequest, type OpenedRequest, type OpeningParts, type OpenRequest } from './opened-request.js';
import { SpooledForm } from './spooled-form.js';

/** A form up to this is read whole before it is sent; of a larger one so much is kept, for another attempt. */
const KEPT_BYTES = 1024 * 1024;
const FORM_TYPE = /^multipart\/form-data\b/i;

/** What a task's form has to have. */
interface FormRules {
  task: Task;
  /** What is asked for, for whoever reads an error. */
  called: string;
  /** The file without which nothing can be done, and what it is. */
  file: { name: string; what: string };
  streams: boolean;
  /** A form that names its model before its file is passed along as it comes. Images are counted by a field first. */
  passesAlong: boolean;
  /** Where the form names no model. */
  defaultModel?: string;
  check?(fields: ReadonlyMap<string, string>): void;
}

const RECORDING = { name: 'file', what: 'must be the recording, as a file of the form' };
const IMAGE = { name: 'image', what: 'must be the image, as a file of the form' };

/** Source: https://platform.openai.com/docs/api-reference/audio/createTranscription */
export const openTranscription = formRequest({
  task: 'transcription',
  called: 'A transcription',
  file: RECORDING,
  streams: true,
  passesAlong: true,
});

/** Source: https://platform.openai.com/docs/api-reference/audio/createTranslation */
export const openTranslation = formRequest({
  task: 'audio-translation',
  called: 'A translation',
  file: RECORDING,
  streams: false,
  passesAlong: true,
});

const editForm = formRequest({
  task: 'image-edit',
  called: 'An edit of an image',
  file: IMAGE,
  streams: true,
  passesAlong: false,
  check(fields) {
    if ((fields.get('prompt') ?? '') === '') refuse('prompt', 'must be a text');
    checkCount(fields);
  },
});
const editJson = jsonRequest('image-edit');

/** A form with files, or JSON with addresses. Source: https://platform.openai.com/docs/api-reference/images/createEdit */
export const openImageEdit: OpenRequest<NodeExchange> = (exchange, parts) =>
  /json\b/i.test(exchange.req.headers['content-type'] ?? '') ? editJson(exchange, parts) : editForm(exchange, parts);

/** `dall-e-2` is the only model at OpenAI. Source: https://platform.openai.com/docs/api-reference/images/createVariation */
export const openImageVariation = formRequest({
  task: 'image-variation',
  called: 'A variation of an image',
  file: IMAGE,
  streams: false,
  passesAlong: false,
  defaultModel: 'dall-e-2',
  check: checkCount,
});

/**
 * A task that is asked as a form. The model has to be known before anything is sent: a form that names it before its
 * file is passed along as it comes; one that does not, that is small or has an `Idempotency-Key` is read whole first.
 */
function formRequest(rules: FormRules): OpenRequest<NodeExchange> {
  return async (exchange: NodeExchange, parts: OpeningParts): Promise<OpenedRequest> => {
    const { req, res } = exchange;
    if (!FORM_TYPE.test(req.headers['content-type'] ?? '')) {
      const message = `${rules.called} is asked as multipart/form-data, with the fields \`${rules.file.name}\` and \`model\`.`;
      throw new WaybillError('invalid_request', { message, param: 'body' });
    }
    const announced = Number(req.headers['content-length'] ?? Number.NaN);
    const mostBytes = Number.isNaN(announced) ? parts.bodyLimitBytes : announced;
    const late = new LateStream(rules.streams);
    const source = late.watch(readForm(req, parts.bodyLimitBytes));
    // An answer may come before all of the form has.
    res.once('finish', () => void source.return(undefined));
    const form = new SpooledForm({ boundary: `waybill-${randomUUID()}`, source, keptBytes: KEPT_BYTES, mostBytes });
    let fields = fieldsOf(await form.head());
    const isPassed = rules.passesAlong && fields.has('model') && mostBytes > KEPT_BYTES;
    if (!isPassed || idempotencyKey(exchange) !== null) {
      const steps = await form.readWhole();
      fields = fieldsOf(steps);
      if (!steps.some((step) => isFile(step, rules.file.name))) refuse(rules.file.name, rules.file.what);
      if (rules.file === RECORDING) form.audioMs = await lengthOf(steps, parts);
    }
    if (rules.defaultModel !== undefined && !fields.has('model')) fields.set('model', rules.defaultModel);
    if ((fields.get('model') ?? '') === '') refuse('model', 'must be the name of a model');
    rules.check?.(fields);
    const ask: TaskRequest = {
      task: rules.task,
      body: bodyOf(fields),
      stream: late.isWanted,
      includeUsage: false,
      carried: form,
    };
    late.tell(ask);
    return { ask };
  };
}

/** A field after the file may still ask for a stream, while the form is already on its way. */
class LateStream {
  isWanted = false;
  readonly #isTaken: boolean;
  #ask: TaskRequest | null = null;

  constructor(isTaken: boolean) {
    this.#isTaken = isTaken;
  }

  tell(ask: TaskRequest): void {
    this.#ask = ask;
  }

  async *watch(steps: AsyncGenerator<FormStep>): AsyncGenerator<FormStep> {
    for await (const step of steps) {
      if (step.kind === 'field' && step.name === 'stream') this.#read(step.value);
      yield step;
    }
  }

  #read(value: string): void {
    if (!this.#isTaken) refuseStream({ stream: value });
    if (!/^(true|false|)$/i.test(value)) refuse('stream', 'must be true or false');
    this.isWanted = /^true$/i.test(value);
    if (this.#ask !== null) this.#ask.stream = this.isWanted;
  }
}

/** Several files of one kind are named `image[]`. */
function isFile(step: FormStep, name: string): boolean {
  return step.kind === 'file' && step.name.replace(/\[\d*\]$/, '') === name;
}

function checkCount(fields: ReadonlyMap<string, string>): void {
  const n = fields.get('n');
  if (n !== undefined && n !== '' && !/^[1-9]\d{0,5}$/.test(n)) refuse('n', 'must be a whole number from 1 on');
}

/** Of a field that comes twice the first counts. */
function fieldsOf(steps: readonly FormStep[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const step of steps) {
    if (step.kind === 'field' && !fields.has(step.name)) fields.set(step.name, step.value);
  }
  return fields;
}

/** The fields as JSON would have them: what is routed on, and counted. */
function bodyOf(fields: ReadonlyMap<string, string>): JsonBody {
  const members = new Map([...fields].map(([name, value]) => [name, JSON.stringify(value)]));
  return { text: writeObject(members), value: Object.fromEntries(fields), members };
}

async function lengthOf(steps: readonly FormStep[], { audioLength }: OpeningParts): Promise<number | null> {
  const file = steps.find((step) => step.kind === 'file');
  const bytes = steps.flatMap((step) => (step.kind === 'bytes' ? [step.bytes] : []));
  return file?.kind === 'file' ? audioLength(Buffer.concat(bytes), file.contentType) : null;
}
