import { type ExactJson, parseExact, stringifyExact } from './exact-json.js';
import type { Recording } from './recordings.js';

/** How a recording is put before the daemon, and what has to come out. */

export type Json = { [key: string]: ExactJson };

/** The adapter a recording belongs to. */
export function providerTypeOf(recording: Recording): 'huggingface' | 'openai' | 'openai_compatible' | 'ollama' {
  if (recording.provider === 'openai') return 'openai';
  if (recording.provider === 'ollama') return 'ollama';
  return recording.source === 'huggingface' && recording.kind !== 'embedding' ? 'huggingface' : 'openai_compatible';
}

/** An integer that a double cannot hold, in a parameter nobody knows: it has to arrive as it was sent. */
export const UNKNOWN_PARAMETER = '12345678901234567890';

/** The client's request, for the route its kind belongs to: the recorded one, or one like it where it was not kept. */
export function clientRequest(recording: Recording, entry: string): { path: string; body: string } {
  const kind = recording.kind === 'error' ? errorKind(recording) : recording.kind;
  const model = JSON.stringify(`${entry}:${recording.model ?? 'recorded-model'}`);
  const recorded = recording.requestBody === null ? {} : ((parseExact(recording.requestBody) ?? {}) as Json);
  if (kind === 'embedding' || kind === 'feature-extraction') {
    const input = recorded['input'] ?? recorded['inputs'] ?? 'Hi, who are you?';
    return {
      path: '/v1/embeddings',
      body: bodyOf({ input: typeof input === 'string' ? input : 'x' }, recorded, model),
    };
  }
  if (kind === 'completion') {
    return { path: '/v1/completions', body: bodyOf({ prompt: 'Hello' }, recorded, model) };
  }
  const messages = [{ role: 'user', content: 'Hello' }];
  const own = Array.isArray(recorded['messages']) ? recorded : {};
  return {
    path: '/v1/chat/completions',
    body: bodyOf({ messages, ...(recording.stream ? { stream: true } : {}) }, own, model),
  };
}

function bodyOf(defaults: Json, recorded: Json, model: string): string {
  const { model: _model, inputs: _inputs, stream_options: _options, ...rest } = { ...defaults, ...recorded };
  return `{"model":${model},${stringifyExact(rest).slice(1, -1)},"x_unknown":${UNKNOWN_PARAMETER}}`;
}

function errorKind(recording: Recording): 'chat' | 'embedding' {
  return /feature-extraction/.test(recording.path) ? 'embedding' : 'chat';
}

/** The chunks a client gets of a stream: without the usage chunk, and without usage on the others. */
export function expectedChunks(events: readonly string[]): Json[] {
  return events
    .map((event) => parseExact(event) as Json)
    .filter((chunk) => !(isUsage(chunk['usage']) && Array.isArray(chunk['choices']) && chunk['choices'].length === 0))
    .map(withoutUsage);
}

export function withoutUsage(body: Json): Json {
  const { usage: _usage, ...rest } = body;
  return rest;
}

export function isUsage(value: ExactJson | undefined): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A stream as a client sees it: each event is one `data:` line and an empty line, and nothing else is there. */
export function readClientStream(text: string): { chunks: Json[]; done: boolean } {
  const events = text.split('\n\n');
  if (events.pop() !== '') throw new Error(`the stream ends inside an event: ${text.slice(-200)}`);
  const data = events.map((event) => {
    if (!event.startsWith('data: ') || event.includes('\n')) throw new Error(`not a plain event: ${event}`);
    return event.slice(6);
  });
  const done = data.at(-1) === '[DONE]';
  if (done) data.pop();
  return { chunks: data.map((event) => parseExact(event) as Json), done };
}

/** What each choice said, put together: text, reasoning, tool calls, and why it ended. */
export function assemble(chunks: readonly Json[]): { [index: string]: object } {
  const said: { [index: string]: { text: string; reasoning: string; calls: Json[]; finish: ExactJson } } = {};
  for (const chunk of chunks) {
    for (const choice of (chunk['choices'] ?? []) as Json[]) {
      const index = String(choice['index']).slice(1);
      said[index] ??= { text: '', reasoning: '', calls: [], finish: null };
      const one = said[index];
      const delta = (choice['delta'] ?? choice) as Json;
      one.text += textOf(delta['content'] ?? delta['text']);
      one.reasoning += textOf(delta['reasoning'] ?? delta['reasoning_content']);
      one.calls.push(...((delta['tool_calls'] ?? []) as Json[]));
      one.finish = choice['finish_reason'] || one.finish;
    }
  }
  return said;
}

/**
 * Where to break a stream so that the client has had content and not all of it: in the middle of the event after the
 * first with content. Null where there is no such place.
 */
export function cutPoint(recording: Recording): { bytes: number; whole: number } | null {
  const events = recording.events ?? [];
  const first = events.findIndex((event) => hasContent(parseExact(event) as Json));
  const next = events[first + 1];
  if (first < 0 || next === undefined) return null;
  const at = recording.body.indexOf(Buffer.from(next), offsetOf(recording, first));
  return { bytes: at + 10, whole: first + 1 };
}

function offsetOf(recording: Recording, index: number): number {
  let at = 0;
  for (const event of recording.events?.slice(0, index + 1) ?? []) {
    at = recording.body.indexOf(Buffer.from(event), at) + Buffer.byteLength(event);
  }
  return at;
}

function hasContent(chunk: Json): boolean {
  return Object.values(assemble([chunk])).some((one) => {
    const { text, reasoning, calls } = one as { text: string; reasoning: string; calls: Json[] };
    return text !== '' || reasoning !== '' || calls.length > 0;
  });
}

function textOf(value: ExactJson | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** What the client is told of a recorded error, by the table of errors. */
export function expectedError(recording: Recording): { status: number; type: string; code: string } {
  const body = recording.body.toString('utf8');
  const error = recording.stream ? {} : errorOf(body);
  const outOfCredit = error['code'] === 'insufficient_quota' || error['type'] === 'insufficient_quota';
  // An error inside a 200: `validation` stands for 422.
  const status = recording.status === 200 ? 422 : recording.status;
  if (status === 401 || status === 402 || status === 403 || (status === 429 && outOfCredit)) {
    return { status: 502, type: 'upstream_error', code: 'upstream_credentials_exhausted' };
  }
  if (status === 429) return { status, type: 'rate_limit_error', code: 'upstream_rate_limited' };
  if (status >= 500) return { status: 503, type: 'upstream_error', code: 'no_target_available' };
  const code = error['code'];
  const said = typeof code === 'string' ? code.replace(/^\uE000/, '') : '';
  return { status, type: 'invalid_request_error', code: said === '' ? 'upstream_rejected' : said };
}

function errorOf(text: string): Json {
  try {
    const value = parseExact(text) as Json;
    return isUsage(value['error']) ? value['error'] : value;
  } catch {
    // Plain text has no code.
    return {};
  }
}
