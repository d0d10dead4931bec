import { randomUUID } from 'node:crypto';
import { WaybillError } from '../domain/errors.js';
import type { FormStep, JsonBody, TaskRequest } from '../domain/task.js';
import { writeObject } from '../wire/json-text.js';
import { refuse, refuseStream } from '../wire/task-request.js';
import type { HttpContext } from './context.js';
import { readForm } from './form-steps.js';
import { idempotencyKey } from './idempotent.js';
import type { OpenedRequest, OpeningParts } from './opened-request.js';
import { SpooledForm } from './spooled-form.js';

/** A form up to this is read whole before it is sent; of a larger one so much is kept, for another attempt. */
const KEPT_BYTES = 1024 * 1024;

/**
 * `POST /v1/audio/transcriptions`. The model has to be known before anything is sent: a form that names it before its
 * file is passed along as it comes; one that does not, that is small or has an `Idempotency-Key` is read whole first.
 */
export async function openTranscription(ctx: HttpContext, parts: OpeningParts): Promise<OpenedRequest> {
  const { req, res } = ctx;
  const type = req.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(type)) {
    const message = 'A transcription is asked as multipart/form-data, with the fields `file` and `model`.';
    throw new WaybillError('invalid_request', { message, param: 'body' });
  }
  const announced = Number(req.headers['content-length'] ?? Number.NaN);
  const mostBytes = Number.isNaN(announced) ? parts.bodyLimitBytes : announced;
  const source = checked(readForm(req, parts.bodyLimitBytes));
  // An answer may come before all of the form has.
  res.once('finish', () => void source.return(undefined));
  const form = new SpooledForm({ boundary: `waybill-${randomUUID()}`, source, keptBytes: KEPT_BYTES, mostBytes });
  let fields = fieldsOf(await form.head());
  if (!fields.has('model') || mostBytes <= KEPT_BYTES || idempotencyKey(ctx) !== null) {
    const steps = await form.readWhole();
    fields = fieldsOf(steps);
    if (!steps.some((step) => step.kind === 'file')) refuse('file', 'must be the recording, as a file of the form');
    form.audioMs = await lengthOf(steps, parts);
  }
  if ((fields.get('model') ?? '') === '') refuse('model', 'must be the name of a model');
  const ask: TaskRequest = {
    task: 'transcription',
    body: bodyOf(fields),
    stream: false,
    includeUsage: false,
    carried: form,
  };
  return { ask };
}

/** Fields that come after the file are looked at too, when they come. */
async function* checked(steps: AsyncGenerator<FormStep>): AsyncGenerator<FormStep> {
  for await (const step of steps) {
    if (step.kind === 'field' && step.name === 'stream') refuseStream({ stream: step.value });
    yield step;
  }
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
