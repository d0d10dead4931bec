import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SseEvent } from '../../../src/domain/provider.js';
import { SseDecoder, SseEventTooLargeError } from '../../../src/wire/sse.js';

function decode(parts: readonly (string | Buffer)[]): SseEvent[] {
  const decoder = new SseDecoder();
  const events = parts.flatMap((part) => decoder.push(Buffer.from(part as string)));
  return [...events, ...decoder.end()];
}

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const data = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''));
const line = fc.oneof(
  data.map((text) => `data: ${text}`),
  data.map((text) => `data:${text}`),
  data.map((text) => `: ${text}`),
  fc.constantFrom('event: error', 'event:', 'id: 7', 'retry: 10', 'data', 'nonsense', ''),
);

describe('SseDecoder', () => {
  it('gives the same events however the bytes are split', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(line, lineEnd)), fc.array(fc.nat(2000)), fc.boolean(), (lines, cuts, hasBom) => {
        const bytes = Buffer.from((hasBom ? '\ufeff' : '') + lines.map(([text, end]) => text + end).join(''));
        const whole = decode([bytes]);
        const places = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b);
        const parts = [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
        expect(decode(parts)).toEqual(whole);
        expect(decode([...bytes].map((byte) => Buffer.from([byte])))).toEqual(whole);
      }),
    );
  });

  it('reads what nearly every provider sends', () => {
    expect(decode(['data: {"a":1}\n\ndata: [DONE]\n\n'])).toEqual([
      { name: null, data: '{"a":1}' },
      { name: null, data: '[DONE]' },
    ]);
  });

  it('takes one space after the colon away, and no more', () => {
    expect(decode(['data:{"a":1}\n\ndata:  two\n\n']).map((event) => event.data)).toEqual(['{"a":1}', ' two']);
  });

  it('passes over comments, keep-alives and events without data', () => {
    expect(decode([': OPENROUTER PROCESSING\n\nevent: ping\n\n\n\ndata: x\n\n'])).toEqual([{ name: null, data: 'x' }]);
  });

  it('joins several data lines, and keeps the name of an event for that event only', () => {
    expect(decode(['event: error\r\ndata: one\r\ndata: two\r\n\r\ndata: three\r\n\r\n'])).toEqual([
      { name: 'error', data: 'one\ntwo' },
      { name: null, data: 'three' },
    ]);
  });

  it('understands lines that end with CR alone, also when an LF comes with the next bytes', () => {
    expect(decode(['data: a\r', '\rdata: b\r', '\n\r', '\n'])).toEqual([
      { name: null, data: 'a' },
      { name: null, data: 'b' },
    ]);
  });

  it('joins characters that are split between chunks', () => {
    const bytes = Buffer.from('data: 😀é\n\n');
    expect(decode([bytes.subarray(0, 8), bytes.subarray(8, 11), bytes.subarray(11)])).toEqual([
      { name: null, data: '😀é' },
    ]);
  });

  it('drops a byte order mark at the start and nowhere else', () => {
    expect(decode(['\ufeffdata: a\n\n', 'data: \ufeffb\n\n']).map((event) => event.data)).toEqual(['a', '\ufeffb']);
  });

  it.each(['data: last', 'data: last\n', 'event: x\ndata: last'])(
    'delivers an event that the end cuts off: %j',
    (text) => {
      expect(decode([`data: first\n\n${text}`]).at(-1)).toMatchObject({ data: 'last', unterminated: true });
    },
  );

  it('marks no event that was complete', () => {
    expect(decode(['data: a\n\n'])).toEqual([{ name: null, data: 'a' }]);
  });

  it('refuses an event that is too large, whether its line ends or not', () => {
    const endless = new SseDecoder({ maxEventBytes: 100 });
    endless.push(Buffer.from(`data: ${'x'.repeat(60)}`));
    expect(() => endless.push(Buffer.from('x'.repeat(60)))).toThrow(SseEventTooLargeError);
    const lines = new SseDecoder({ maxEventBytes: 100 });
    const push = () => lines.push(Buffer.from(`data: ${'x'.repeat(60)}\n`));
    push();
    expect(push).toThrow(SseEventTooLargeError);
  });

  it('reads megabytes that come in small pieces in time that grows with their length', () => {
    const decoder = new SseDecoder();
    const piece = Buffer.from('x'.repeat(16));
    const started = performance.now();
    decoder.push(Buffer.from('data: '));
    for (let index = 0; index < 200_000; index += 1) decoder.push(piece);
    const [event] = decoder.push(Buffer.from('\n\n'));
    expect(event?.data.length).toBe(3_200_000);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
