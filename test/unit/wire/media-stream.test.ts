import { describe, expect, it } from 'vitest';
import { IMAGE_EVENTS, MediaStreamReader, TRANSCRIPT_EVENTS } from '../../../src/wire/media-stream.js';
import { counts, replay } from '../../conformance/adapters.js';

function read(events: readonly string[], reader = new MediaStreamReader(TRANSCRIPT_EVENTS)) {
  const text = events.map((data) => `data: ${data}\n\n`).join('');
  return { reader, seen: replay(reader, [Buffer.from(text)]) };
}

describe('MediaStreamReader', () => {
  it('passes a transcription that comes as chunks of a chat, as vLLM sends it, and ends with its end mark', () => {
    const chunk = (content: string, rest = '') =>
      `{"id":"trsc-1","object":"transcription.chunk","choices":[{"delta":{"content":"${content}"}}]${rest}}`;
    const events = [
      chunk('Good '),
      chunk('day'),
      '{"object":"transcription.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}',
    ];
    const cut = read(events);
    expect(cut.seen).toMatchObject({ data: events, content: true, fault: null });
    expect(cut.reader.isFinished()).toBe(false);
    expect(cut.reader.outputTexts()).toEqual(['Good day']);
    expect(cut.reader.usage()?.counts).toEqual(counts({ input: 9, output: 2 }));
    expect(read([...events, '[DONE]']).reader.isFinished()).toBe(true);
  });

  it('adds up what the final events of several images tell', () => {
    const done = '{"type":"image_generation.completed","b64_json":"AA==","usage":{"input_tokens":5,"output_tokens":7}}';
    const { reader } = read([done, done], new MediaStreamReader(IMAGE_EVENTS));
    expect(reader.usage()?.counts).toEqual(counts({ images: 2, input: 10, output: 14 }));
  });

  it('knows an event by its name where it has no type, and passes one that means nothing here', () => {
    const reader = new MediaStreamReader(TRANSCRIPT_EVENTS);
    const text = 'event: transcript.text.delta\ndata: {"delta":"Hi"}\n\ndata: {"type":"ping"}\n\n';
    expect(replay(reader, [Buffer.from(text)])).toMatchObject({
      data: ['{"delta":"Hi"}', '{"type":"ping"}'],
      fault: null,
    });
    expect(reader.outputTexts()).toEqual(['Hi']);
    expect(read(['{"type":"ping"}']).seen.content).toBe(false);
  });

  it('reads events of megabytes, as large pictures are', () => {
    const picture = `{"type":"image_generation.completed","b64_json":"${'A'.repeat(20 * 1024 * 1024)}"}`;
    expect(new MediaStreamReader(IMAGE_EVENTS).maxEventBytes).toBeGreaterThan(picture.length);
  });
});
