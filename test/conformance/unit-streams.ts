import { describe, expect, it } from 'vitest';
import type { ProviderAdapter, StreamReader, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { Task } from '../../src/domain/task.js';
import type { UsageCounts } from '../../src/domain/usage.js';
import { aTarget, counts, replay } from './adapters.js';
import { aUnitRequest, textOf, type UnitTaskFixture } from './unit-tasks.js';

/** A stream of a task that is no text generation. */
export interface UnitStreamFixture {
  request: UnitTaskFixture['request'];
  target?: Partial<UpstreamTarget>;
  /** SSE text. */
  text: string;
  /** The data the client gets; the provider's own where it is left out. */
  gives?: object[];
  /** What begins the event that ends it. */
  final: string;
  usage: Partial<UsageCounts>;
  /** The same of a stream that was cut before its last event. */
  usageWhenCut: Partial<UsageCounts> | null;
  texts: string[];
}

const FORM: UnitTaskFixture['request'] = {
  whole: true,
  form: [
    { kind: 'field', name: 'model', value: 'asked-model' },
    { kind: 'file', name: 'image', filename: 'a.png', contentType: 'image/png' },
    { kind: 'bytes', bytes: Buffer.from('PNG') },
  ],
};

const speech: UnitStreamFixture = {
  request: { json: { model: 'asked-model', input: 'Hello', voice: 'alloy', stream_format: 'sse' } },
  text: [
    'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n',
    ': keep-alive\n\n',
    'data: {"type":"speech.audio.delta","audio":"BB=="}\n\n',
    'data: {"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}\n\n',
  ].join(''),
  final: '"speech.audio.done"',
  usage: { input: 14, output: 101 },
  usageWhenCut: null,
  texts: [],
};

const transcription: UnitStreamFixture = {
  request: FORM,
  text: [
    'event: transcript.text.delta\r\ndata: {"type":"transcript.text.delta","delta":"Good 😀 "}\r\n\r\n',
    'event: transcript.text.delta\r\ndata: {"type":"transcript.text.delta","delta":"day"}\r\n\r\n',
    'event: transcript.text.done\r\ndata: {"type":"transcript.text.done","text":"Good 😀 day","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":2,"total_tokens":16}}\r\n\r\n',
    'data: [DONE]\r\n\r\n',
  ].join(''),
  final: '"transcript.text.done"',
  usage: { input: 4, audioInput: 10, output: 2 },
  usageWhenCut: null,
  texts: ['Good 😀 day'],
};

function images(name: string, request: UnitStreamFixture['request']): UnitStreamFixture {
  return {
    request,
    text: [
      `event: ${name}.partial_image\ndata: {"type":"${name}.partial_image","b64_json":"AA==","partial_image_index":0}\n\n`,
      `event: ${name}.completed\ndata: {"type":"${name}.completed","b64_json":"AAAA","size":"1024x1024","usage":{"input_tokens":10,"output_tokens":100,"total_tokens":110,"input_tokens_details":{"text_tokens":10,"image_tokens":0}}}\n\n`,
    ].join(''),
    final: `"${name}.completed","b64`,
    usage: { images: 1, input: 10, output: 100 },
    usageWhenCut: { images: 0 },
    texts: [],
  };
}

/** Voxtral's own words, in OpenAI's for the client. */
export const mistralTranscript: UnitStreamFixture = {
  ...transcription,
  text: [
    'event: transcription.language\ndata: {"type":"transcription.language","audio_language":"en"}\n\n',
    'event: transcription.text.delta\ndata: {"type":"transcription.text.delta","text":"Good 😀 "}\n\n',
    'event: transcription.text.delta\ndata: {"type":"transcription.text.delta","text":"day"}\n\n',
    'event: transcription.done\ndata: {"type":"transcription.done","model":"voxtral","text":"Good 😀 day","usage":{"prompt_audio_seconds":3,"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}\n\n',
  ].join(''),
  gives: [
    { type: 'transcription.language', audio_language: 'en' },
    { type: 'transcript.text.delta', delta: 'Good 😀 ' },
    { type: 'transcript.text.delta', delta: 'day' },
    {
      type: 'transcript.text.done',
      text: 'Good 😀 day',
      model: 'voxtral',
      usage: { prompt_audio_seconds: 3, prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 },
    },
  ],
  final: '"transcription.done"',
  usage: { audioMs: 3_000, input: 4, output: 2 },
};

/** What a stream looks like where an adapter does not say otherwise. */
export const openAiStreams: { readonly [T in Task]?: UnitStreamFixture } = {
  speech,
  transcription,
  image: images('image_generation', { json: { model: 'asked-model', prompt: 'a boat', stream: true } }),
  'image-edit': images('image_edit', FORM),
};

/** The suite every stream of these tasks passes. */
export function describeUnitStream(adapter: ProviderAdapter, task: Task, fixture: UnitStreamFixture): void {
  const helper = adapter.tasks[task] as TaskHelper;
  const target = aTarget(adapter, fixture.target);
  const bytes = Buffer.from(fixture.text);
  const open = () =>
    (helper.openStream as NonNullable<TaskHelper['openStream']>)(aUnitRequest(task, fixture.request), target);

  describe(`${adapter.id}: a stream of ${task}`, () => {
    it.each([
      ['whole', [bytes]],
      ['byte by byte', [...bytes].map((byte) => Buffer.from([byte]))],
    ])('is read that comes %s', (_how, pieces) => {
      const reader = open();
      const seen = replay(reader, pieces);
      expect(seen).toMatchObject({ content: true, fault: null });
      expect(seen.data.map((data) => JSON.parse(data) as object)).toEqual(fixture.gives ?? dataOf(fixture.text));
      expect(reader.isFinished()).toBe(true);
      expect(reader.usage()?.counts ?? null).toEqual(counts(fixture.usage));
      expect(reader.outputTexts()).toEqual(fixture.texts);
    });

    it('is never taken for a whole one when it is cut off', () => {
      const end = bytes.indexOf(fixture.final);
      expect(end).toBeGreaterThan(0);
      let last: StreamReader | null = null;
      for (let length = 1; length <= end; length += 7) {
        last = open();
        const { data, fault } = replay(last, [bytes.subarray(0, length)]);
        expect(fault).toBeNull();
        expect(last.isFinished()).toBe(false);
        for (const event of data) expect(() => JSON.parse(event)).not.toThrow();
      }
      expect(last?.usage()?.counts ?? null).toEqual(counts(fixture.usageWhenCut));
    });

    it('takes an error event for that error', () => {
      const errors = ['event: error\ndata: {"error":{"message":"it broke"}}\n\n', 'data: {"error":"it broke"}\n\n'];
      for (const error of errors) expect(replay(open(), [Buffer.from(error)]).fault).toBe('it broke');
    });

    it('is broken by an event that is none', () => {
      expect(replay(open(), [Buffer.from('data: {"a":\n\n')]).fault).toContain('no JSON object');
    });
  });
}

/** A task that OpenAI streams and this provider does not. */
export function describeNoStream(adapter: ProviderAdapter, task: Task, { request, target }: UnitStreamFixture): void {
  it(`${adapter.id}: refuses a stream of ${task}, before anything is sent`, async () => {
    const helper = adapter.tasks[task] as TaskHelper;
    // What has to be named for others, and is no matter here.
    const to = { ...aTarget(adapter, target), dropParams: ['voice'] };
    const asked = (stream: boolean) => helper.preparePayload({ ...aUnitRequest(task, request), stream }, to);
    const refused = expect.objectContaining({ code: 'invalid_request', param: expect.stringMatching(/^stream/) });
    expect(() => asked(true)).toThrow(refused);
    expect(await textOf(asked(false))).not.toBe('');
  });
}

function dataOf(text: string): unknown[] {
  return [...text.matchAll(/^data: (\{.*\})\r?$/gm)].map(([, data]) => JSON.parse(data as string) as unknown);
}
