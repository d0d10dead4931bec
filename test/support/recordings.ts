import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ExactJson, parseExact, pruneNulls, stringifyExact, toNumber } from './exact-json.js';

export type RecordingKind =
  | 'chat'
  | 'completion'
  | 'embedding'
  | 'feature-extraction'
  | 'text-generation'
  | 'models'
  | 'messages'
  | 'error'
  | 'other';

/** A real exchange with a provider, the same for every way it was recorded. */
export interface Recording {
  /** File name without `.json`. */
  name: string;
  source: 'huggingface' | 'openai-compatible';
  /** `hf-inference`, `openai`, `vllm`, … */
  provider: string;
  kind: RecordingKind;
  /** Path of the upstream call. */
  path: string;
  /** The model as the provider was asked for it; null where the request does not say. */
  model: string | null;
  stream: boolean;
  /** The request's body as text; null where it was not recorded. */
  requestBody: string | null;
  status: number;
  /** Lower-case names; without those that belong to one connection. */
  headers: Record<string, string>;
  /** The answer as it was on the wire. */
  body: Buffer;
  /** The `data` of each event, without `[DONE]`; null for a whole answer. */
  events: string[] | null;
  done: boolean;
  /** The last usage with figures, in OpenAI's shape; null when the exchange has none. */
  usage: { [key: string]: ExactJson } | null;
}

type Json = { [key: string]: ExactJson };

const CONNECTION_HEADERS = ['connection', 'transfer-encoding', 'content-length', 'content-encoding', 'keep-alive'];

/** Where the recordings are; null when the environment does not say, and the suites over them are skipped. */
export function recordingsFolder(): string | null {
  return process.env['WAYBILL_RECORDINGS'] || null;
}

/** Every recording in file order; none when there is no folder. */
export function loadRecordings(folder: string | null = recordingsFolder()): Recording[] {
  if (folder === null) return [];
  return [
    ...filesOf(join(folder, 'huggingface')).map(([name, file]) => fromExchange(name, file)),
    ...filesOf(join(folder, 'openai-compatible')).map(([name, file]) => fromTape(name, file)),
  ];
}

/** The same exchange without null members: a tape's null may mean that the member was absent on the wire. */
export function pruned(recording: Recording): Recording {
  const usage = recording.usage === null ? null : (pruneNulls(recording.usage) as Json);
  if (recording.events === null) {
    const body = stringifyExact(pruneNulls(parseExact(recording.body.toString('utf8'))));
    return { ...recording, usage, body: Buffer.from(body) };
  }
  const events = recording.events.map((event) => stringifyExact(pruneNulls(parseExact(event))));
  return { ...recording, usage, events, body: sseBytes(events, recording.done) };
}

/** Events as an upstream sends them. */
export function sseBytes(events: readonly string[], done: boolean, lineEnd = '\n'): Buffer {
  const all = done ? [...events, '[DONE]'] : events;
  return Buffer.from(all.map((event) => `data: ${event}${lineEnd}${lineEnd}`).join(''));
}

function filesOf(folder: string): Array<[string, Json]> {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => [file.replace(/\.json$/, ''), parseExact(readFileSync(join(folder, file), 'utf8')) as Json]);
}

function fromExchange(name: string, file: Json): Recording {
  const meta = file['meta'] as Json;
  const request = file['request'] as Json;
  const response = file['response'] as Json;
  const text = String(response['body'] ?? '');
  const events = isSse(text) ? dataOf(text) : null;
  const data = events?.filter((event) => event !== '[DONE]') ?? null;
  const recordedKind = String(meta['kind']);
  return {
    name,
    source: 'huggingface',
    provider: String(meta['provider']),
    kind: exchangeKind(recordedKind, text),
    path: new URL(String(request['url'])).pathname,
    model: typeof meta['model'] === 'string' && meta['model'] !== '' ? meta['model'] : null,
    stream: events !== null,
    requestBody: typeof request['body'] === 'string' ? request['body'] : null,
    status: toNumber(response['status']) ?? 0,
    headers: headersOf(response['headers']),
    body: Buffer.from(text),
    events: data,
    done: events?.includes('[DONE]') ?? false,
    usage: lastUsage(data ?? [text]),
  };
}

function fromTape(name: string, file: Json): Recording {
  const request = file['request'] as Json;
  const response = file['response'] as Json;
  const sse = response['sse'] as ExactJson[] | undefined;
  const lines = response['sse_lines'] as string[] | undefined;
  const body = stringifyExact(response['body'] ?? null);
  const events = sse?.map((event) => stringifyExact(event)) ?? (lines === undefined ? null : dataOf(lines.join('\n')));
  const status = toNumber(response['status']) ?? 0;
  const path = String(request['path']);
  return {
    name,
    source: 'openai-compatible',
    provider: String(file['provider']),
    kind: tapeKind(path, status),
    path,
    model: ((request['body'] as Json | null)?.['model'] as string | undefined) ?? null,
    stream: events !== null,
    requestBody: request['body'] == null ? null : stringifyExact(request['body']),
    status,
    headers: headersOf(response['headers']),
    body:
      sse === undefined ? Buffer.from(lines?.join('\n') ?? body) : sseBytes(events ?? [], response['done'] === true),
    events,
    done: response['done'] === true,
    usage: lastUsage(events ?? [body]),
  };
}

function exchangeKind(kind: string, text: string): RecordingKind {
  if (kind === 'error' || kind === 'textgen-stream-error') return 'error';
  if (kind.startsWith('textgen')) return 'text-generation';
  if (kind.startsWith('chat') || kind === 'tools' || kind === 'structured') return 'chat';
  if (kind === 'completion') return 'completion';
  if (kind === 'embeddings' && text.startsWith('{')) return 'embedding';
  return kind === 'feature-extraction' ? kind : 'other';
}

function tapeKind(path: string, status: number): RecordingKind {
  if (path.endsWith('/messages')) return 'messages';
  if (status >= 400) return 'error';
  if (path.endsWith('/chat/completions')) return 'chat';
  if (path.endsWith('/completions')) return 'completion';
  if (path.endsWith('/embeddings')) return 'embedding';
  return path.endsWith('/models') ? 'models' : 'other';
}

function headersOf(headers: ExactJson | undefined): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries((headers ?? {}) as Json)) {
    const lower = name.toLowerCase();
    if (!CONNECTION_HEADERS.includes(lower)) kept[lower] = String(value).replace(/^\uE000/, '');
  }
  return kept;
}

function isSse(text: string): boolean {
  return /^(data|event|:)/.test(text.trimStart());
}

/** The `data:` values of an SSE text, one an event (the recordings have no event of several lines). */
function dataOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trimStart());
}

function lastUsage(texts: string[]): Json | null {
  let last: Json | null = null;
  for (const text of texts) {
    const usage = usageIn(text);
    if (usage !== null) last = usage;
  }
  return last;
}

function usageIn(text: string): Json | null {
  try {
    const value = parseExact(text);
    const usage = typeof value === 'object' && value !== null && !Array.isArray(value) ? value['usage'] : null;
    return typeof usage === 'object' && usage !== null && !Array.isArray(usage) ? usage : null;
  } catch {
    // An answer that is not JSON (plain-text errors) has no usage.
    return null;
  }
}
