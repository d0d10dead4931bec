import { describe, expect, it } from 'vitest';
import type { SseEvent } from '../../../src/domain/provider.js';
import { EventStreamBrokenError, EventStreamDecoder } from '../../../src/wire/event-stream.js';
import { SseDecoder } from '../../../src/wire/sse.js';
import { createStreamDecoder } from '../../../src/wire/stream-decoder.js';
import { converseEvent, converseException, eventMessage } from '../../support/event-stream.js';

const first = converseEvent('messageStart', { role: 'assistant' });
const second = converseEvent('contentBlockDelta', { delta: { text: 'é😀' } });
const both = Buffer.concat([first, second]);
const EVENTS = [
  { name: 'messageStart', data: '{"role":"assistant","p":"abcdefgh"}' },
  { name: 'contentBlockDelta', data: '{"delta":{"text":"é😀"},"p":"abcdefgh"}' },
];

function read(parts: Iterable<Buffer>, decoder = new EventStreamDecoder()): { events: SseEvent[]; error: unknown } {
  const events: SseEvent[] = [];
  try {
    for (const part of parts) events.push(...decoder.push(part));
    events.push(...decoder.end());
    return { events, error: null };
  } catch (error) {
    return { events, error };
  }
}

describe('an event stream of AWS', () => {
  it('gives its events however it is split', () => {
    expect(read([both])).toEqual({ events: EVENTS, error: null });
    expect(read([...both].map((byte) => Buffer.from([byte])))).toEqual({ events: EVENTS, error: null });
    for (let at = 0; at <= both.length; at += 1) {
      expect(read([both.subarray(0, at), both.subarray(at)])).toEqual({ events: EVENTS, error: null });
    }
    expect(read([])).toEqual({ events: [], error: null });
  });

  it('names exceptions and errors', () => {
    expect(read([converseException('throttlingException', 'slow')]).events).toEqual([
      { name: 'throttlingException', data: '{"message":"slow"}' },
    ]);
    const error = { ':message-type': 'error', ':error-code': 'InternalError', ':error-message': 'it broke' };
    expect(read([eventMessage(error, 'ignored')]).events).toEqual([
      { name: 'error', data: '{"code":"InternalError","message":"it broke"}' },
    ]);
    expect(read([eventMessage({}, '{}')]).events).toEqual([{ name: null, data: '{}' }]);
    expect(read([eventMessage({ ':message-type': 'event', ':event-type': 'x' }, '')]).events).toEqual([
      { name: 'x', data: '' },
    ]);
  });

  it('is broken where it is cut inside a message, and only there', () => {
    for (let length = 0; length <= both.length; length += 1) {
      const { events, error } = read([both.subarray(0, length)]);
      const isWhole = length === 0 || length === first.length || length === both.length;
      expect(events).toEqual(EVENTS.slice(0, length < first.length ? 0 : length < both.length ? 1 : 2));
      if (isWhole) expect(error).toBeNull();
      else expect(error).toBeInstanceOf(EventStreamBrokenError);
    }
  });

  it('is broken by any one bit, and gives what came before it', () => {
    for (let at = 0; at < second.length; at += 1) {
      const bad = Buffer.from(both);
      bad[first.length + at] = (bad[first.length + at] as number) ^ 0x10;
      const { events, error } = read([bad]);
      expect(events).toEqual(EVENTS.slice(0, 1));
      expect(error).toBeInstanceOf(EventStreamBrokenError);
    }
  });

  it('says so at once where a length is wrong, rather than wait for it', () => {
    const bad = Buffer.from(first);
    bad[1] = 0x0f;
    const decoder = new EventStreamDecoder();
    expect(() => decoder.push(bad)).toThrow('checksum');
    expect(() => decoder.push(second)).toThrow('checksum');
    expect(() => decoder.end()).toThrow('checksum');
  });

  it('keeps to a bound, and takes no server-sent events', () => {
    const tight = new EventStreamDecoder({ maxMessageBytes: first.length });
    expect(tight.push(first)).toHaveLength(1);
    const large = eventMessage({}, 'x'.repeat(first.length));
    expect(() => tight.push(large)).toThrow(`a message of ${large.length} bytes`);
    expect(() => new EventStreamDecoder().push(Buffer.from('data: {"a":1}\n\n'))).toThrow(EventStreamBrokenError);
  });

  it('is chosen by its content type', () => {
    expect(createStreamDecoder('application/vnd.amazon.eventstream')).toBeInstanceOf(EventStreamDecoder);
    expect(createStreamDecoder('Application/vnd.amazon.eventstream; charset=x')).toBeInstanceOf(EventStreamDecoder);
    expect(createStreamDecoder('text/event-stream')).toBeInstanceOf(SseDecoder);
    expect(createStreamDecoder(undefined)).toBeInstanceOf(SseDecoder);
  });
});
