import { describe, expect, it } from 'vitest';
import { readErrorBody } from '../../../src/wire/error-body.js';

const empty = {
  type: null,
  code: null,
  param: null,
  errorType: null,
  status: null,
  estimatedTimeMs: null,
  retryAfterMs: null,
};

describe('readErrorBody', () => {
  it.each([
    [
      'OpenAI',
      { error: { message: 'm', type: 't', param: 'p', code: 'c' } },
      { message: 'm', type: 't', param: 'p', code: 'c' },
    ],
    [
      'Azure, without a type',
      { error: { code: 'BadRequest', message: 'm', param: null, type: null } },
      { message: 'm', code: 'BadRequest' },
    ],
    [
      'vLLM, numeric code',
      { error: { message: 'm', type: 'BadRequestError', param: 'input_text', code: 400 } },
      { message: 'm', type: 'BadRequestError', param: 'input_text', code: '400', status: 400 },
    ],
    [
      'vLLM, flat',
      { object: 'error', message: 'm', type: 'invalid_request_error', param: null, code: 404 },
      { message: 'm', type: 'invalid_request_error', code: '404', status: 404 },
    ],
    [
      'Anthropic',
      {
        type: 'error',
        error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'ramp_limit_exceeded' } },
        request_id: 'req_1',
      },
      { message: 'm', type: 'rate_limit_error', code: 'ramp_limit_exceeded' },
    ],
    ['Hugging Face, a text', { error: 'Model x does not exist' }, { message: 'Model x does not exist' }],
    [
      'Hugging Face, texts',
      { error: ['Error in `a`: b', 'Error in `c`: d'] },
      { message: 'Error in `a`: b; Error in `c`: d' },
    ],
    [
      'Hugging Face, loading',
      { error: 'Model x is currently loading', estimated_time: 22.3072 },
      { message: 'Model x is currently loading', estimatedTimeMs: 22_308 },
    ],
    [
      'TGI',
      { error: 'Input validation error', error_type: 'validation' },
      { message: 'Input validation error', errorType: 'validation' },
    ],
    ['FastAPI, a text', { detail: 'Not Found' }, { message: 'Not Found' }],
    [
      'FastAPI, a list',
      { detail: [{ type: 'missing', loc: ['body', 'messages', 0], msg: 'Field required', input: {} }] },
      { message: 'messages.0: Field required', param: 'messages.0', type: 'missing' },
    ],
    [
      'problem+json',
      { detail: '- input is required\n', status: 422, title: 'Input validation failed' },
      { message: '- input is required', status: 422 },
    ],
    ['a flat message', { message: 'Invalid API key' }, { message: 'Invalid API key' }],
    [
      'a name and what it means',
      { status: 400, error: 'Bad Request', message: 'model is unknown' },
      { message: 'Bad Request: model is unknown', status: 400 },
    ],
    [
      'an error with flat copies of it',
      {
        message: '400 m',
        status: 400,
        error: { message: 'm', type: 't', param: null, code: 'c' },
        code: 'c',
        type: 't',
      },
      { message: 'm', type: 't', code: 'c', status: 400 },
    ],
    [
      'a message that is JSON itself',
      {
        error: {
          message: '{"error":{"code":"validation_error","message":"no images","param":"image","type":null}}',
          type: 'invalid_request_error',
          param: null,
          code: 'validation_error',
        },
      },
      { message: 'no images', type: 'invalid_request_error', code: 'validation_error', param: 'image' },
    ],
    [
      'a list of errors',
      [{ error: { code: 429, message: 'Resource exhausted', status: 'RESOURCE_EXHAUSTED' } }],
      { message: 'Resource exhausted', code: 'RESOURCE_EXHAUSTED', status: 429 },
    ],
    [
      'Google’s name of an error, and its reason',
      {
        error: {
          code: 400,
          message: 'API key not valid. Please pass a valid API key.',
          status: 'INVALID_ARGUMENT',
          details: [
            null,
            { '@type': 'type.googleapis.com/google.rpc.LocalizedMessage', reason: 'no' },
            { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' },
          ],
        },
      },
      {
        message: 'API key not valid. Please pass a valid API key.',
        code: 'INVALID_ARGUMENT',
        type: 'API_KEY_INVALID',
        status: 400,
      },
    ],
    ['a status that is no name', { error: { code: 7, message: 'm', status: 'Failed' } }, { message: 'm', code: '7' }],
    ['a name without a number', { error: { code: 'c', message: 'm', status: 'FAILED' } }, { message: 'm', code: 'c' }],
    [
      'Google, with what it asks to wait',
      {
        error: {
          code: 429,
          message: 'm',
          status: 'RESOURCE_EXHAUSTED',
          details: [
            { '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [] },
            { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.074824224s' },
          ],
        },
      },
      { message: 'm', code: 'RESOURCE_EXHAUSTED', status: 429, retryAfterMs: 34_075 },
    ],
  ])('reads %s', (_name, body, expected) => {
    expect(readErrorBody(JSON.stringify(body))).toEqual({ ...empty, ...expected });
  });

  it('reads plain text, also when it looks like JSON at first', () => {
    expect(readErrorBody(' 404: Not Found\n')).toEqual({ ...empty, message: '404: Not Found' });
    expect(readErrorBody('{oops').message).toBe('{oops');
    expect(readErrorBody('').message).toBe('');
  });

  it('makes a short text of a page', () => {
    const page = `<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>${'x '.repeat(5000)}</body></html>`;
    expect(readErrorBody(page).message).toBe('502 Bad Gateway');
    expect(readErrorBody('<html><script>evil()</script><h1>Down</h1><p>for now</p></html>').message).toBe(
      'Down for now',
    );
  });

  it('shows an error of no known shape as it is', () => {
    expect(readErrorBody('{"oops":{"why":1}}').message).toBe('{"oops":{"why":1}}');
  });

  it('bounds the message, and splits no character', () => {
    const { message } = readErrorBody(JSON.stringify({ error: `${'x'.repeat(1998)}😀${'y'.repeat(10)}` }));
    expect(message.length).toBeLessThanOrEqual(2000);
    expect(message.endsWith('x…')).toBe(true);
  });

  it('is not led into depths', () => {
    let body = '{"message":"deep"}';
    for (let index = 0; index < 8; index += 1) body = JSON.stringify({ message: body });
    expect(readErrorBody(body).message.length).toBeGreaterThan(0);
    expect(readErrorBody('['.repeat(50_000) + ']'.repeat(50_000)).message.length).toBeLessThanOrEqual(2000);
  });

  it('reads a hostile page in no time', () => {
    const started = performance.now();
    readErrorBody(`<html>${'<title'.repeat(40_000)}`);
    readErrorBody(`<html>${'<script'.repeat(40_000)}`);
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it('does not take nonsense for a time', () => {
    for (const time of [-1, 'soon', null, {}]) {
      expect(readErrorBody(JSON.stringify({ error: 'x', estimated_time: time })).estimatedTimeMs).toBeNull();
    }
  });
});
