import { constants } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import type {
  AnswerOutcome,
  ProviderAdapter,
  SseEvent,
  StreamReader,
  TaskHelper,
  UpstreamTarget,
} from '../../src/domain/provider.js';
import { Secret } from '../../src/domain/secret.js';
import type { Task, TaskRequest } from '../../src/domain/task.js';
import { type Count, noCounts, type UsageCounts } from '../../src/domain/usage.js';
import { parseJsonBody } from '../../src/wire/json-body.js';
import { type OpenAiTask, openTaskRequest } from '../../src/wire/openai-request.js';
import { createStreamDecoder, isUnreadable } from '../../src/wire/stream-decoder.js';
import { answerTextOf } from '../support/answer-text.js';
import { finished } from '../support/finished.js';

/** What an adapter must make of one exchange in its provider's dialect. */
export interface TaskFixture {
  name: string;
  /** Settings of the target that this exchange needs. */
  target?: Partial<UpstreamTarget>;
  /** The client's body; `model` is `asked-model`. */
  request: object;
  /** Path of the request and members its body must have. */
  sends: { path: string; body: object };
  answer: { body: string; usage: Partial<UsageCounts> | null; texts: string[]; inClientShape: (body: unknown) => void };
  /** A stream of the same task; absent where it does not stream. */
  stream?: {
    /** SSE text, or bytes of another framing. */
    text: string | Buffer;
    /** Default: SSE. */
    contentType?: string;
    /** What in it says that the stream finished. Default: OpenAI's `"finish_reason":"`. */
    finish?: string;
    /** Streams that are an error, with its message. Default: OpenAI's and plain text as SSE. */
    errors?: ReadonlyArray<readonly [Buffer, string]>;
    usage: Partial<UsageCounts> | null;
    texts: string[];
    chunks: number;
  };
  /** Where in the body members go that are not OpenAI's; at its top unless given. */
  extrasIn?: (body: unknown) => unknown;
}

export function aTarget(adapter: ProviderAdapter, overrides: Partial<UpstreamTarget> = {}): UpstreamTarget {
  return {
    providerId: adapter.id,
    providerModel: 'vendor/model-1',
    baseUrl: adapter.baseUrl ?? 'http://127.0.0.1:9/v1',
    hasOwnPath: true,
    headers: {},
    extraBody: {},
    dropParams: [],
    maxOutputTokens: null,
    apiVersion: null,
    ...overrides,
  };
}

export function aRequest(task: Task, body: object): TaskRequest {
  return openTaskRequest(task as OpenAiTask, parseJsonBody(JSON.stringify({ model: 'asked-model', ...body })));
}

export function counts(known: Partial<Record<keyof UsageCounts, Count>> | null): UsageCounts | null {
  return known === null ? null : { ...noCounts(), ...known };
}

/** What a client gets of a stream. */
export interface Seen {
  data: string[];
  content: boolean;
  fault: string | null;
}

function nothingSeen(): Seen {
  return { data: [], content: false, fault: null };
}

/** Adds what the events give to what was seen. */
export function readEvents(reader: StreamReader, events: readonly SseEvent[], seen: Seen = nothingSeen()): Seen {
  for (const event of events) {
    const step = reader.read(event);
    if (step.kind === 'chunk') seen.data.push(step.data);
    if (step.kind === 'chunk' && step.content) seen.content = true;
    if (step.kind === 'fault') seen.fault = step.fault.message;
  }
  return seen;
}

/** Reads a stream as the router does, in the pieces it is given. */
export function replay(reader: StreamReader, parts: Iterable<Buffer>, contentType?: string): Seen {
  const decoder = createStreamDecoder(contentType);
  const seen = nothingSeen();
  try {
    for (const part of parts) readEvents(reader, decoder.push(part), seen);
    readEvents(reader, decoder.end(), seen);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    seen.fault ??= error.message;
  }
  return seen;
}

/** Made by the first who needs it, and never touched, so that it takes no memory. */
let beyondText: Buffer | undefined;

/** The suite every task of every adapter passes. */
export function describeTask(adapter: ProviderAdapter, task: Task, fixture: TaskFixture): void {
  const helper = adapter.tasks[task] as TaskHelper;
  const target = aTarget(adapter, fixture.target);
  const request = aRequest(task, fixture.request);

  describe(`${adapter.id}: ${fixture.name}`, () => {
    it('asks at the right place', () => {
      const route = helper.makeRoute(request, target);
      expect(route.method).toBe('POST');
      expect(new URL(route.url).pathname).toBe(fixture.sends.path);
    });

    it('sends exactly one body, with the provider’s name of the model, and nothing of the client’s lost', () => {
      const payload = helper.preparePayload(request, target);
      expect(payload.kind).toBe('json');
      expect(JSON.parse(payload.body as string)).toMatchObject(fixture.sends.body);
      expect(payload.body).not.toContain('asked-model');
    });

    it('is pure: the same twice, and the request as it was', () => {
      const before = structuredClone(request);
      expect(helper.preparePayload(request, target)).toEqual(helper.preparePayload(request, target));
      expect(request).toEqual(before);
    });

    it('sends what the config adds under the client’s own, and leaves out what it drops', () => {
      const changed = aTarget(adapter, {
        ...fixture.target,
        extraBody: { added: { deep: 1 }, kept: 'config' },
        dropParams: ['dropped'],
      });
      const asked = aRequest(task, { ...fixture.request, kept: 'client', dropped: 1 });
      const whole: unknown = JSON.parse(helper.preparePayload(asked, changed).body as string);
      const body = fixture.extrasIn?.(whole) ?? whole;
      expect(body).toMatchObject({ added: { deep: 1 }, kept: 'client' });
      expect(body).not.toHaveProperty('dropped');
    });

    it('gives the answer in the client’s shape, with its usage and its text', () => {
      const outcome = finished(helper.getResponse(answerOf(fixture.answer.body), request, target));
      if (!outcome.ok) expect.unreachable(outcome.fault.message);
      fixture.answer.inClientShape(JSON.parse(answerTextOf(outcome.answer.body)));
      expect(outcome.answer.usage?.counts ?? null).toEqual(counts(fixture.answer.usage));
      expect(outcome.answer.outputTexts()).toEqual(fixture.answer.texts);
    });

    it.each([
      ['nothing', ''],
      ['no JSON', '<html>busy</html>'],
      ['JSON that is cut', fixture.answer.body.slice(0, -2)],
      ['another shape', '{"hello":"world"}'],
    ])('takes %s for malformed', (_what, body) => {
      expect(faultOf(finished(helper.getResponse(answerOf(body), request, target))).kind).toBe('malformed');
    });

    it('takes an answer that is longer than a text can be for malformed', () => {
      beyondText ??= Buffer.alloc(constants.MAX_STRING_LENGTH + 1);
      const answer = { ...answerOf(''), body: beyondText };
      expect(faultOf(finished(helper.getResponse(answer, request, target))).kind).toBe('malformed');
    });

    it.each([
      ['{"error":{"message":"too busy","type":"server_error"}}', 500],
      ['{"error":{"message":"too busy","code":429}}', 429],
      ['{"error":"too busy","error_type":"overloaded"}', 503],
      ['{"detail":"too busy"}', 500],
    ])('takes an error inside a 200 for that error: %s', (body, status) => {
      const fault = faultOf(finished(helper.getResponse(answerOf(body), request, target)));
      expect(fault).toMatchObject({ kind: 'status', status, message: 'too busy' });
    });

    if (helper.openStream !== undefined) describeStream({ adapter, task, fixture, target });
  });
}

function describeStream(parts: {
  adapter: ProviderAdapter;
  task: Task;
  fixture: TaskFixture;
  target: UpstreamTarget;
}): void {
  const { adapter, task, fixture, target } = parts;
  const { stream } = fixture;
  if (stream === undefined) throw new Error(`${adapter.id} streams ${task}, and has no fixture for it`);
  const request = aRequest(task, { ...fixture.request, stream: true });
  const bytes = typeof stream.text === 'string' ? Buffer.from(stream.text) : stream.text;
  const { contentType } = stream;
  const endOfText = bytes.indexOf(stream.finish ?? '"finish_reason":"');
  const errors = stream.errors ?? [
    [Buffer.from('data:{"error":"bad input","error_type":"validation"}\n\n'), 'bad input'],
    [Buffer.from('event: error\ndata: it broke\n\n'), 'it broke'],
  ];
  const open = () => (adapter.tasks[task] as TaskHelper).openStream?.(request, target) as StreamReader;

  it.each([
    ['whole', [bytes]],
    ['byte by byte', [...bytes].map((byte) => Buffer.from([byte]))],
  ])('reads a stream that comes %s', (_how, pieces) => {
    const reader = open();
    const seen = replay(reader, pieces, contentType);
    expect(seen).toMatchObject({ content: true, fault: null });
    expect(seen.data).toHaveLength(stream.chunks);
    for (const data of seen.data) expect(JSON.parse(data)).not.toHaveProperty('usage.prompt_tokens');
    expect(reader.isFinished()).toBe(true);
    expect(reader.usage()?.counts ?? null).toEqual(counts(stream.usage));
    expect(reader.outputTexts()).toEqual(stream.texts);
    expect(reader.usageChunk() === null).toBe(stream.usage === null);
    expect(reader.identity().model).not.toBe('');
  });

  it('never takes a stream that is cut off for a whole one', () => {
    expect(endOfText).toBeGreaterThan(0);
    for (let length = 0; length < endOfText; length += 7) {
      const reader = open();
      const { data, fault } = replay(reader, [bytes.subarray(0, length)], contentType);
      // A framing that counts its bytes knows by itself that it was cut.
      if (contentType === undefined) expect(fault).toBeNull();
      expect(reader.isFinished()).toBe(false);
      for (const chunk of data) expect(() => JSON.parse(chunk)).not.toThrow();
    }
  });

  it('knows the text of a stream that is cut off', () => {
    const reader = open();
    replay(reader, [bytes.subarray(0, endOfText)], contentType);
    const whole = stream.texts.join('');
    expect(whole.startsWith(reader.outputTexts().join(''))).toBe(true);
  });

  it('takes an error event for that error', () => {
    for (const [broken, message] of errors) expect(replay(open(), [broken], contentType).fault).toBe(message);
    expect(replay(open(), [bytes, Buffer.from('')], contentType).fault).toBeNull();
  });
}

/** What must hold for an adapter as a whole. */
export function describeAdapter(adapter: ProviderAdapter): void {
  describe(adapter.id, () => {
    it('can do something, and says where that is described', () => {
      expect(Object.keys(adapter.tasks).length).toBeGreaterThan(0);
      expect(adapter.docs).not.toBe('');
      if (adapter.baseUrl !== null) expect(adapter.baseUrl).not.toMatch(/\/$/);
    });

    it('carries the key in a header', () => {
      const headers = adapter.authenticate(new Secret('the-key'));
      expect(Object.values(headers).join()).toContain('the-key');
      for (const name of Object.keys(headers)) expect(name).toBe(name.toLowerCase());
    });

    it('shows an entry for a config file, without a key in it', () => {
      const sample = adapter.sampleConfig();
      expect(sample).toMatchObject({ id: expect.any(String), type: adapter.id });
      expect(adapter.sampleConfig()).toEqual(sample);
      if (adapter.baseUrl === null && adapter.inline !== true) expect(sample).toHaveProperty('base_url');
      if (adapter.needsKey) expect(JSON.stringify(sample['api_keys'])).toContain('${');
      // Whoever copies it can ask for something at once, and knows what it costs where the sample has a price.
      expect(sample['model'] ?? sample['models']).toBeDefined();
      if (sample['pricing'] !== undefined) {
        expect(sample['pricing']).toMatchObject({
          unit: '1m_tokens',
          input_token_cost: expect.any(Number),
          output_token_cost: expect.any(Number),
        });
      }
    });

    it('lists models, where it does', () => {
      if (adapter.listModels === undefined) return;
      const body = '{"data":[{"id":"b","max_model_len":4096},{"id":"a"},{"id":"b"},{"object":"model"}]}';
      expect(adapter.listModels.parse(answerOf(body))).toEqual([
        { id: 'b', contextWindow: 4096 },
        { id: 'a', contextWindow: null },
      ]);
      expect(adapter.listModels.makeRoute(aTarget(adapter)).method).toBe('GET');
    });
  });
}

export function answerOf(body: string): { status: number; headers: Record<string, string>; body: Buffer } {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) };
}

function faultOf(outcome: AnswerOutcome) {
  if (outcome.ok) expect.unreachable('the answer is taken for a good one');
  return outcome.fault;
}
