import { parseJsonObject } from '../../wire/json-object.js';
import { answerFeatures, answerGeneration } from './hugging-face.js';
import { answerMedia, type MediaTask, mediaPrompt, mediaTaskAt } from './media.js';
import { answerNative, nativePrompt, taskNamed } from './native.js';
import { answerCompletion, answerEmbeddings, CREATED } from './openai.js';
import { type Prompt, readInputs, readMessages } from './prompt.js';
import { type Ask, errorReply, jsonReply, type Reply } from './reply.js';
import { isConstant, parseScript, resolveDirectives, type ScriptGroup } from './script.js';

/** One request as it came. */
export interface SandboxRequest {
  method: string;
  /** Without the query. */
  path: string;
  /** The `x-sandbox-script` header; null when absent. */
  script: string | null;
  key: string | null;
  /** JSON; of a form its fields as JSON; empty for bytes. */
  body: string;
  /** A form's file, or a body that is no JSON. */
  file?: Buffer;
}

const NO_BYTES = Buffer.alloc(0);
const LISTED_MODELS = ['sandbox-small', 'sandbox-embed'];
const MAX_CACHED = 500;
const MAX_CACHED_CHARS = 16_384;
const MAX_REMEMBERED_TURNS = 10_000;

type Endpoint =
  | { kind: 'chat' | 'completion' | 'embedding' }
  | { kind: 'media'; task: MediaTask }
  | { kind: 'features' | 'generation'; model: string }
  | { kind: 'native'; model: string; task: string };

/**
 * Answers requests. What it says is a function of the request, but for scripts with `times`; answers that cannot change
 * are kept as bytes, so that a benchmark measures its subject and not the sandbox.
 */
export class SandboxAnswers {
  #kept = new Map<string, Reply>();
  #turns = new Map<string, number>();

  answer(request: SandboxRequest): Reply {
    const cacheKey = `${request.path}\n${request.script ?? ''}\n${request.body}`;
    const kept = request.method === 'POST' && request.file === undefined ? this.#kept.get(cacheKey) : undefined;
    if (kept !== undefined) return kept;
    const { reply, constant } = this.#build(request);
    if (constant && request.file === undefined && request.body.length <= MAX_CACHED_CHARS) {
      if (this.#kept.size >= MAX_CACHED) this.#kept.clear();
      const isWhole = reply.isStream && reply.chunkDelayMs === null && reply.cutAfter === null;
      const ready = isWhole ? { ...reply, frames: [Buffer.concat(reply.frames)] } : reply;
      this.#kept.set(cacheKey, ready);
      return ready;
    }
    return reply;
  }

  #build(request: SandboxRequest): { reply: Reply; constant: boolean } {
    const fixed = answerWithoutBody(request);
    if (fixed !== null) return { reply: fixed, constant: false };
    const endpoint = endpointOf(request.path);
    if (endpoint === null) return refuse(404, { message: `Unknown request URL: ${request.path}`, code: 'unknown_url' });
    const body = request.file !== undefined && request.body === '' ? {} : parseJsonObject(request.body);
    if (body === null) return refuse(400, { message: 'The body is not a JSON object.' });
    if (endpoint.kind === 'native') return this.#answerNative(request, body, endpoint);
    if (endpoint.kind === 'features' || endpoint.kind === 'generation') {
      return this.#answerHuggingFace(request, body, endpoint.kind, endpoint.model);
    }
    const { model } = body;
    if (typeof model !== 'string')
      return refuse(400, { message: 'You must provide a model parameter.', param: 'model' });
    if (!isSandboxModel(model)) {
      return refuse(404, { message: `The model \`${model}\` does not exist.`, code: 'model_not_found' });
    }
    if (endpoint.kind === 'media') return this.#answerMedia(request, body, endpoint.task);
    const field = endpoint.kind === 'chat' ? 'messages' : endpoint.kind === 'completion' ? 'prompt' : 'input';
    const prompt = endpoint.kind === 'chat' ? readMessages(body[field]) : readInputs(body[field]);
    if (prompt === null) return refuse(400, { message: `Invalid value for '${field}'.`, param: field });
    const scripted = this.#readScript(request, prompt);
    if ('reply' in scripted) return scripted;
    const { inputs, directives, constant } = scripted;
    const ask: Ask = { path: request.path, body, directives };
    if (endpoint.kind === 'embedding') return { reply: answerEmbeddings(ask, inputs), constant };
    return { reply: answerCompletion(ask, endpoint.kind, inputs), constant };
  }

  #answerHuggingFace(
    request: SandboxRequest,
    body: { [key: string]: unknown },
    kind: 'features' | 'generation',
    model: string,
  ): { reply: Reply; constant: boolean } {
    if (!isSandboxModel(model)) {
      return { reply: jsonReply(404, { error: `Model ${model} does not exist` }), constant: false };
    }
    const isList = Array.isArray(body['inputs']);
    const prompt = readInputs(body['inputs']);
    if (prompt === null || (kind === 'generation' && isList)) {
      const error = ['Error in `inputs`: a string is required'];
      return { reply: jsonReply(422, { error, error_type: 'validation' }, { model }), constant: false };
    }
    const scripted = this.#readScript(request, prompt);
    if ('reply' in scripted) return scripted;
    const ask: Ask = { path: request.path, body, directives: scripted.directives };
    const reply =
      kind === 'features'
        ? answerFeatures(ask, model, scripted.inputs, isList)
        : answerGeneration(ask, model, String(scripted.inputs[0]));
    return { reply, constant: scripted.constant };
  }

  #answerMedia(request: SandboxRequest, body: { [key: string]: unknown }, task: MediaTask) {
    const prompt = mediaPrompt(task, body, request.file);
    if (typeof prompt === 'string') return refuse(400, { message: `Invalid value for '${prompt}'.`, param: prompt });
    const scripted = this.#readScript(request, prompt);
    if ('reply' in scripted) return scripted;
    const { inputs, directives, constant } = scripted;
    const ask: Ask = { path: request.path, body, directives };
    return { reply: answerMedia(ask, task, inputs.map(String), request.file ?? NO_BYTES), constant };
  }

  #answerNative(
    request: SandboxRequest,
    body: { [key: string]: unknown },
    { model, task }: { model: string; task: string },
  ): { reply: Reply; constant: boolean } {
    if (!isSandboxModel(model)) {
      return { reply: jsonReply(404, { error: `Model ${model} does not exist` }), constant: false };
    }
    const prompt = request.file === undefined ? nativePrompt(body['inputs']) : { inputs: [''], scripted: 0 };
    if (prompt === null) {
      const error = ['Error in `inputs`: this task needs them'];
      return { reply: jsonReply(422, { error, error_type: 'validation' }, { model }), constant: false };
    }
    const scripted = this.#readScript(request, prompt);
    if ('reply' in scripted) return scripted;
    const { inputs, directives, constant } = scripted;
    const ask: Ask = { path: request.path, body, directives };
    return { reply: answerNative(ask, { model, task }, inputs.map(String), request.file ?? NO_BYTES), constant };
  }

  /** Reads the script off the prompt (and the header), and settles what it means for this request. */
  #readScript(request: SandboxRequest, prompt: Prompt) {
    const text = prompt.inputs[prompt.scripted];
    const inPrompt = parseScript(typeof text === 'string' ? text : '');
    const inHeader = parseScript(request.script ?? '');
    const unknown = [...inHeader.unknown, ...inPrompt.unknown];
    if (inHeader.rest.trim() !== '') unknown.push(inHeader.rest.trim());
    if (unknown.length > 0) {
      const message = `The sandbox does not know these script words: ${unknown.join(', ')}`;
      return refuse(400, { message, code: 'invalid_script' });
    }
    const groups: ScriptGroup[] = [...inHeader.groups, ...inPrompt.groups];
    const inputs = prompt.inputs.map((input, index) => (index === prompt.scripted ? inPrompt.rest : input));
    const subject = `${request.path}\n${request.script ?? ''}\n${request.body}`;
    const directives = resolveDirectives(groups, request.key, (index) =>
      this.#takeTurn(`${index}\n${subject}`, groups[index]?.times ?? 0),
    );
    return { inputs, directives, constant: isConstant(groups) };
  }

  #takeTurn(turnKey: string, times: number): boolean {
    const used = this.#turns.get(turnKey) ?? 0;
    if (used >= times) return false;
    if (this.#turns.size >= MAX_REMEMBERED_TURNS) this.#turns.clear();
    this.#turns.set(turnKey, used + 1);
    return true;
  }
}

function endpointOf(path: string): Endpoint | null {
  if (path.endsWith('/chat/completions')) return { kind: 'chat' };
  if (path.endsWith('/v1/completions')) return { kind: 'completion' };
  if (path.endsWith('/v1/embeddings')) return { kind: 'embedding' };
  const media = mediaTaskAt(path);
  if (media !== null) return { kind: 'media', task: media };
  const features = /^(?:\/hf-inference)?\/models\/(.+)\/pipeline\/feature-extraction$/.exec(path);
  if (features?.[1] !== undefined) return { kind: 'features', model: decode(features[1]) };
  const native = /^(?:\/hf-inference)?\/models\/(.+)\/pipeline\/([a-z0-9-]+)$/.exec(path);
  if (native?.[1] !== undefined && native[2] !== undefined) return nativeEndpoint(decode(native[1]), native[2]);
  const generation = /^(?:\/hf-inference)?\/models\/(.+)$/.exec(path);
  if (generation?.[1] !== undefined) return nativeEndpoint(decode(generation[1]), taskNamed(decode(generation[1])));
  return null;
}

function nativeEndpoint(model: string, task: string): Endpoint {
  return task === 'text-generation' ? { kind: 'generation', model } : { kind: 'native', model, task };
}

/** `GET /`, `/v1/models` and `/v1/models/{id}`, and methods that have no place; null for what has a body to read. */
function answerWithoutBody({ method, path }: SandboxRequest): Reply | null {
  if (method === 'POST') return null;
  if (method !== 'GET') return errorReply(405, { message: `Not allowed: ${method} ${path}` });
  if (path === '/') return jsonReply(200, { name: 'waybill sandbox', models: LISTED_MODELS, stats: '/__stats' });
  if (path === '/v1/models') return jsonReply(200, { object: 'list', data: LISTED_MODELS.map(describeModel) });
  const id = /^\/v1\/models\/(.+)$/.exec(path)?.[1];
  if (id === undefined) return errorReply(404, { message: `Unknown request URL: ${path}`, code: 'unknown_url' });
  const model = decode(id);
  return isSandboxModel(model)
    ? jsonReply(200, describeModel(model))
    : errorReply(404, { message: `The model '${model}' does not exist`, param: 'model', code: 'model_not_found' });
}

function describeModel(id: string): object {
  return { id, object: 'model', created: CREATED, owned_by: 'sandbox' };
}

/** A path segment as text; as it was written where its escapes are wrong. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    // No model has such a name: the answer is 404 for the name as written.
    return segment;
  }
}

/** `sandbox-…`, with an organisation before it or not. */
function isSandboxModel(model: string): boolean {
  return model.slice(model.lastIndexOf('/') + 1).startsWith('sandbox-');
}

function refuse(status: number, error: { message: string; code?: string; param?: string }) {
  return { reply: errorReply(status, error), constant: false };
}
