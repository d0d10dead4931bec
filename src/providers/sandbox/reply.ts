import type { Directives } from './script.js';

/** What a request was counted as. */
export interface TokenCounts {
  prompt: number;
  completion: number;
}

/** An answer, built whole before anything is sent. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  /** The body in the parts it is sent in: one for a whole answer, one an event for a stream. */
  frames: Buffer[];
  isStream: boolean;
  delayMs: number;
  /** Null: all frames in one write. */
  chunkDelayMs: number | null;
  /** Frames (stream) or bytes (whole answer) after which the connection breaks. */
  cutAfter: number | null;
  model: string | null;
  tokens: TokenCounts;
}

/** One request as the dialects see it. */
export interface Ask {
  path: string;
  body: { [key: string]: unknown };
  /** Found in the header or the prompt, and resolved for this request. */
  directives: Directives;
}

export const NO_TOKENS: TokenCounts = { prompt: 0, completion: 0 };

const ERROR_WORDS: Record<number, { type: string; code: string | null; message: string }> = {
  400: { type: 'invalid_request_error', code: 'invalid_request', message: 'The request is not valid.' },
  401: { type: 'invalid_request_error', code: 'invalid_api_key', message: 'Incorrect API key provided.' },
  402: { type: 'insufficient_quota', code: 'insufficient_credit', message: 'The account has no credit left.' },
  403: { type: 'permission_error', code: 'forbidden', message: 'This key may not use this model.' },
  404: { type: 'invalid_request_error', code: 'model_not_found', message: 'The model does not exist.' },
  413: { type: 'invalid_request_error', code: 'request_too_large', message: 'The request is too large.' },
  422: { type: 'invalid_request_error', code: 'unprocessable', message: 'The request cannot be processed.' },
  429: { type: 'requests', code: 'rate_limit_exceeded', message: 'Rate limit reached.' },
  503: { type: 'server_error', code: 'overloaded', message: 'The server is overloaded.' },
};

/** A whole answer. */
export function jsonReply(status: number, body: unknown, rest: Partial<Reply> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    frames: [Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))],
    isStream: false,
    delayMs: 0,
    chunkDelayMs: null,
    cutAfter: null,
    model: null,
    tokens: NO_TOKENS,
    ...rest,
  };
}

/** An error in OpenAI's shape. */
export function errorReply(
  status: number,
  error: { message?: string; code?: string | null; param?: string | null },
  rest: Partial<Reply> = {},
): Reply {
  return jsonReply(status, errorBody(status, error), rest);
}

export function errorBody(
  status: number,
  error: { message?: string; code?: string | null; param?: string | null },
): { error: object } {
  const words = ERROR_WORDS[status] ?? { type: 'server_error', code: null, message: 'The server had an error.' };
  const code = error.code ?? words.code;
  return {
    error: {
      message: error.message ?? words.message,
      type: code === 'insufficient_quota' ? code : words.type,
      param: error.param ?? null,
      code,
    },
  };
}

/** The failure a script asks for; null when it asks for none. */
export function scriptedFailure(ask: Ask, model: string, dialect: 'openai' | 'huggingface'): Reply | null {
  const { status, loading, retryAfter, code, delay } = ask.directives;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (retryAfter !== null) headers['retry-after'] = retryAfter;
  const rest = { headers, model, delayMs: delay ?? 0, cutAfter: ask.directives.cutAfter };
  if (loading !== null) {
    return jsonReply(503, { error: `Model ${model} is currently loading`, estimated_time: loading }, rest);
  }
  if (status === null) return null;
  if (dialect === 'openai') return errorReply(status, { code }, rest);
  return jsonReply(status, { error: code ?? ERROR_WORDS[status]?.message ?? 'The server had an error.' }, rest);
}

/** Events of a stream as frames, with the line ends the script asks for. */
export function streamReply(events: string[], ask: Ask, rest: { model: string; tokens: TokenCounts }): Reply {
  const end = ask.directives.crlf ? '\r\n\r\n' : '\n\n';
  return {
    status: 200,
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
    frames: events.map((event) => Buffer.from(`data: ${event}${end}`)),
    isStream: true,
    delayMs: ask.directives.delay ?? 0,
    chunkDelayMs: ask.directives.chunkDelay,
    cutAfter: ask.directives.cutAfter,
    ...rest,
  };
}

/** What a script makes of a whole answer: delayed, cut, or not JSON any more. */
export function wholeReply(body: unknown, ask: Ask, rest: { model: string; tokens: TokenCounts }): Reply {
  const text = JSON.stringify(body);
  return jsonReply(200, ask.directives.malformed ? text.slice(0, Math.ceil(text.length / 2)) : text, {
    delayMs: ask.directives.delay ?? 0,
    cutAfter: ask.directives.cutAfter,
    ...rest,
  });
}
