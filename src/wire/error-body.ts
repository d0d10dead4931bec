import type { JsonObject } from '../domain/task.js';
import { parseSpan } from './duration.js';

/** The longest message that is passed on. */
export const MAX_MESSAGE_LENGTH = 2000;
const MAX_HTML_MESSAGE_LENGTH = 200;
const MAX_HTML_LENGTH = 20_000;
/** A message that is JSON, whose message is JSON again, …: this often and no more. */
const MAX_NESTING = 8;

/** What an error said, whatever shape it had. */
export interface ErrorInfo {
  /** Empty when the body said nothing. At most 2,000 characters. */
  message: string;
  type: string | null;
  /** Numbers as text. */
  code: string | null;
  param: string | null;
  /** Text Generation Inference's own kind: `validation`, `overloaded`, `generation`, `incomplete_generation`. */
  errorType: string | null;
  /** The HTTP status the body itself carries, 400 to 599. */
  status: number | null;
  /** How long a model is expected to load: Hugging Face's `estimated_time`, which is in seconds. */
  estimatedTimeMs: number | null;
  /** How long it asks to wait: Google's `RetryInfo` among its details. */
  retryAfterMs: number | null;
}

/**
 * Reads an error's body: OpenAI's `{error: {…}}`, an error that is a string or an array of strings, a flat `message`,
 * Google's `{error: {code, status, message, details}}`, FastAPI's `detail` as text or as a list of `{loc, msg}`, a message that is JSON itself, plain text, an HTML page.
 */
export function readErrorBody(text: string): ErrorInfo {
  const trimmed = text.trim();
  if (/^[[{"]/.test(trimmed)) {
    try {
      return readErrorValue(JSON.parse(trimmed));
    } catch {
      // Looks like JSON and is none: read as plain text.
    }
  }
  return { ...nothing(), message: bounded(trimmed.startsWith('<') ? htmlText(trimmed) : trimmed) };
}

/** The same for an error that is parsed already. */
export function readErrorValue(value: unknown): ErrorInfo {
  const info = read(value, 0);
  if (info.message === '' && !isSilent(value)) info.message = JSON.stringify(value);
  info.message = bounded(info.message);
  return info;
}

function read(value: unknown, nesting: number): ErrorInfo {
  if (nesting > MAX_NESTING) return nothing();
  if (typeof value === 'string') return readText(value, nesting);
  if (Array.isArray(value)) return readList(value, nesting);
  if (isObject(value)) return readObject(value, nesting);
  return nothing();
}

function readText(text: string, nesting: number): ErrorInfo {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) {
    try {
      const inner = read(JSON.parse(trimmed), nesting + 1);
      if (inner.message !== '') return inner;
    } catch {
      // A message that only begins like JSON.
    }
  }
  return { ...nothing(), message: trimmed };
}

function readList(list: readonly unknown[], nesting: number): ErrorInfo {
  const infos = list.slice(0, 20).map((item) => read(item, nesting + 1));
  const [first = nothing()] = infos;
  const messages = infos.map((info) => info.message).filter((message) => message !== '');
  return { ...first, message: messages.join('; ') };
}

function readObject(value: JsonObject, nesting: number): ErrorInfo {
  const inner = firstWithMessage(value, nesting);
  const code = rpcStatusOf(value) ?? toText(value['code']) ?? detailCode(value['details']);
  return {
    message: inner.message,
    // The inner error knows better than the copies around it.
    type: inner.type ?? nonEmpty(value['type']) ?? rpcReasonOf(value['details']),
    code: inner.code ?? code,
    param: inner.param ?? nonEmpty(value['param']) ?? locationOf(value['loc']),
    errorType: inner.errorType ?? nonEmpty(value['error_type']),
    status: inner.status ?? statusOf(value),
    estimatedTimeMs: inner.estimatedTimeMs ?? secondsToMs(value['estimated_time']),
    retryAfterMs: inner.retryAfterMs ?? retryInfoOf(value['details']),
  };
}

const MESSAGE_KEYS = ['error', 'message', 'detail', 'msg', 'errors', 'error_message', 'title', 'reason'] as const;

function firstWithMessage(value: JsonObject, nesting: number): ErrorInfo {
  for (const key of MESSAGE_KEYS) {
    const member = value[key];
    if (member === undefined || member === null) continue;
    const info = read(member, nesting + 1);
    if (info.message === '') continue;
    const location = key === 'msg' ? locationOf(value['loc']) : null;
    if (location !== null) return { ...info, message: `${location}: ${info.message}` };
    // `{"error": "Bad Request", "message": "what was bad about it"}`: the second says more.
    if (key === 'error' && typeof member === 'string' && typeof value['message'] === 'string') {
      const more = readText(value['message'], nesting + 1).message;
      if (more !== '' && more !== info.message) return { ...info, message: `${info.message}: ${more}` };
    }
    return info;
  }
  return nothing();
}

/** Anthropic's place for a code: `details.error_code`. Source: https://platform.claude.com/docs/en/api/errors */
function detailCode(details: unknown): string | null {
  return isObject(details) ? nonEmpty(details['error_code']) : null;
}

/** `["body", "messages", 0]` as `messages.0`. */
function locationOf(loc: unknown): string | null {
  if (!Array.isArray(loc)) return null;
  const parts = loc.filter((part) => typeof part === 'string' || typeof part === 'number');
  if (parts[0] === 'body') parts.shift();
  return parts.length === 0 ? null : parts.join('.');
}

function statusOf(value: JsonObject): number | null {
  for (const key of ['status', 'status_code', 'statusCode', 'http_status_code', 'code']) {
    const raw = value[key];
    const status = typeof raw === 'string' && /^\d{3}$/.test(raw) ? Number(raw) : raw;
    if (typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599) return status;
  }
  return null;
}

/** Google's name of an error, `RESOURCE_EXHAUSTED`, which says more than the number beside it. */
function rpcStatusOf({ code, status }: JsonObject): string | null {
  return typeof code === 'number' && typeof status === 'string' && /^[A-Z]+(_[A-Z]+)*$/.test(status) ? status : null;
}

/** `{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}`. Source: google/rpc/error_details.proto. */
function rpcReasonOf(details: unknown): string | null {
  if (!Array.isArray(details)) return null;
  const info = details
    .slice(0, 20)
    .find((detail) => isObject(detail) && /\/google\.rpc\.ErrorInfo$/.test(String(detail['@type'])));
  return isObject(info) ? nonEmpty(info['reason']) : null;
}

function secondsToMs(value: unknown): number | null {
  const seconds = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) return null;
  return Math.ceil(seconds * 1000);
}

/** `{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}`. Source: google/rpc/error_details.proto. */
function retryInfoOf(details: unknown): number | null {
  if (!Array.isArray(details)) return null;
  for (const detail of details.slice(0, 20)) {
    if (!isObject(detail) || !String(detail['@type']).endsWith('/google.rpc.RetryInfo')) continue;
    const delay = detail['retryDelay'];
    return typeof delay === 'string' ? parseSpan(delay) : null;
  }
  return null;
}

function htmlText(page: string): string {
  // What a page says for itself stands at its top; patterns over all of a hostile one could take long.
  const html = page.slice(0, MAX_HTML_LENGTH);
  const title = /<title[^>]*>([^<]*)<\/title>/i.exec(html)?.[1]?.trim();
  const text =
    title !== undefined && title !== ''
      ? title
      : html.replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ');
  return text.replace(/\s+/g, ' ').trim().slice(0, MAX_HTML_MESSAGE_LENGTH);
}

function bounded(message: string): string {
  if (message.length <= MAX_MESSAGE_LENGTH) return message;
  return `${message.slice(0, MAX_MESSAGE_LENGTH - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

function toText(value: unknown): string | null {
  return typeof value === 'number' ? String(value) : nonEmpty(value);
}

function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** True where nothing is said, however many empty brackets are around it. */
function isSilent(value: unknown, nesting = 0): boolean {
  if (typeof value !== 'object' || value === null) return value === undefined || value === null || value === '';
  return nesting <= MAX_NESTING && Object.values(value).every((member) => isSilent(member, nesting + 1));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nothing(): ErrorInfo {
  return {
    message: '',
    type: null,
    code: null,
    param: null,
    errorType: null,
    status: null,
    estimatedTimeMs: null,
    retryAfterMs: null,
  };
}
