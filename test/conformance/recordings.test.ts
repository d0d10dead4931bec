import { describe, expect, it } from 'vitest';
import { defaultVerdict } from '../../src/domain/failure.js';
import type { ProviderAdapter, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import { totalInput, totalOutput } from '../../src/domain/usage.js';
import { adapters, findAdapter } from '../../src/providers/registry.js';
import { failureFromStatus } from '../../src/upstream/failure.js';
import { failureFromFault } from '../../src/wire/fault.js';
import { parseJsonBody } from '../../src/wire/json-body.js';
import { type OpenAiTask, openTaskRequest } from '../../src/wire/openai-request.js';
import { LIVE_FIXTURES, readFixtures } from '../live/fixture.js';
import { answerTextOf } from '../support/answer-text.js';
import { type ExactJson, parseExact, stringifyExact, toNumber } from '../support/exact-json.js';
import { finished } from '../support/finished.js';
import { loadRecordings, pruned, type Recording, recordingsFolder } from '../support/recordings.js';
import { aTarget, replay } from './adapters.js';
import { replayLive } from './live-replay.js';

type Json = { [key: string]: ExactJson };

const folder = recordingsFolder();
const recordings = loadRecordings(folder);
/** What `npm run test:live` wrote down; `WAYBILL_LIVE_FIXTURES` names another folder of it. */
const liveExchanges = readFixtures(process.env['WAYBILL_LIVE_FIXTURES'] ?? LIVE_FIXTURES);
const NOW = Date.parse('2026-01-15T12:00:00Z');

const TASKS = {
  chat: 'chat',
  completion: 'completion',
  embedding: 'embedding',
  'feature-extraction': 'embedding',
} as const;
const ANSWERS = recordings.filter((recording) => recording.kind in TASKS && recording.status === 200);
const ERRORS = recordings.filter((recording) => recording.kind === 'error' && recording.status >= 400);

function taskOf(recording: Recording): OpenAiTask {
  return TASKS[recording.kind as keyof typeof TASKS];
}

/**
 * The adapter whose exchange this is: its own, or the one for any server of the dialect. A provider whose adapter speaks
 * another API of it (Bedrock's Converse) was recorded at its OpenAI-compatible one.
 */
function adapterOf(recording: Recording): ProviderAdapter {
  const type = recording.source === 'huggingface' ? 'huggingface' : recording.provider;
  const own = findAdapter(type);
  const isNative = own !== null && recording.path.endsWith('/chat/completions') && !asksThere(own);
  return own === null || isNative ? (findAdapter('openai_compatible') as ProviderAdapter) : own;
}

function asksThere(adapter: ProviderAdapter): boolean {
  const request = openTaskRequest('chat', parseJsonBody('{"model":"m","messages":[{"role":"user"}]}'));
  return adapter.tasks.chat?.makeRoute(request, aTarget(adapter)).url.endsWith('/chat/completions') === true;
}

function targetOf(recording: Recording, adapter: ProviderAdapter): UpstreamTarget {
  const isRouted = recording.kind === 'feature-extraction';
  const baseUrl = isRouted ? 'https://router.huggingface.co/v1' : 'http://127.0.0.1:9/v1';
  return aTarget(adapter, { baseUrl, providerModel: recording.model ?? 'unknown' });
}

/** The recorded request where it is one of the dialect, else one that could have had this answer. */
function requestOf(recording: Recording, includeUsage: boolean) {
  const task = taskOf(recording);
  const input = {
    chat: { messages: [{ role: 'user', content: 'a' }] },
    completion: { prompt: 'a' },
    embedding: { input: 'a' },
  };
  const recorded = recording.requestBody === null ? {} : (JSON.parse(recording.requestBody) as object);
  const body = {
    model: 'm',
    ...input[task],
    ...recorded,
    ...(recording.stream ? { stream: true, stream_options: { include_usage: includeUsage } } : { stream: false }),
    ...(task === 'embedding' ? { stream: undefined } : {}),
  };
  return openTaskRequest(task, parseJsonBody(JSON.stringify(body)));
}

function compareUsage(
  report: { counts: Parameters<typeof totalInput>[0]; problems: string[] } | null,
  recording: Recording,
): void {
  if (recording.usage === null) {
    expect(report).toBeNull();
    return;
  }
  expect(report?.problems).toEqual([]);
  expect(totalInput(report?.counts as never)).toBe(toNumber(recording.usage['prompt_tokens'] ?? null));
  if (taskOf(recording) === 'embedding') return;
  expect(totalOutput(report?.counts as never)).toBe(toNumber(recording.usage['completion_tokens'] ?? null));
}

/** Every chunk a client must get: all but those that say usage alone, without the usage that rides. */
function expectedChunks(events: readonly string[]): string[] {
  const chunks: string[] = [];
  for (const event of events) {
    const value = parseExact(event) as Json;
    const choices = value['choices'] as ExactJson[] | undefined;
    const hasUsage = value['usage'] !== undefined && value['usage'] !== null;
    if (hasUsage && (choices === undefined || choices.length === 0)) continue;
    if (hasUsage) delete value['usage'];
    chunks.push(stringifyExact(value));
  }
  return chunks;
}

describe.skipIf(folder === null)('recordings, by the adapter they belong to (needs WAYBILL_RECORDINGS)', () => {
  it('are there', () => {
    expect(ANSWERS.length).toBeGreaterThan(20);
    expect(ERRORS.length).toBeGreaterThan(5);
    expect(adapters.length).toBeGreaterThan(0);
  });

  const forms = ANSWERS.flatMap((recording) => [
    [recording.name, 'as recorded', recording] as const,
    [recording.name, 'without nulls', pruned(recording)] as const,
  ]);
  const whole = forms.filter(([, , recording]) => !recording.stream);
  const streams = forms.filter(([, , recording]) => recording.stream);

  it.each(whole)('%s, %s: the answer passes unharmed, with its usage', (_name, _form, recording) => {
    const adapter = adapterOf(recording);
    const target = targetOf(recording, adapter);
    const helper = adapter.tasks[taskOf(recording)] as TaskHelper;
    const request = requestOf(recording, false);
    const sent = JSON.parse(helper.preparePayload(request, target).body as string) as Json;
    if (recording.kind !== 'feature-extraction') expect(sent['model']).toBe(target.providerModel);
    const outcome = finished(
      helper.getResponse({ status: 200, headers: recording.headers, body: recording.body }, request, target),
    );
    if (!outcome.ok) expect.unreachable(outcome.fault.message);
    compareUsage(outcome.answer.usage, recording);
    if (recording.kind === 'feature-extraction') {
      const [vector] = (JSON.parse(answerTextOf(outcome.answer.body)) as { data: Array<{ embedding: number[] }> }).data;
      expect(vector?.embedding).toEqual(JSON.parse(recording.body.toString()).flat(3));
    } else if (request.body.value['encoding_format'] === 'base64') {
      expectBase64(answerTextOf(outcome.answer.body), recording.body.toString());
    } else {
      expect(answerTextOf(outcome.answer.body)).toBe(recording.body.toString());
    }
  });

  it.each(streams)(
    '%s, %s: the chunks pass unharmed, whole and byte by byte, with their usage',
    (_name, _form, recording) => {
      const adapter = adapterOf(recording);
      const target = targetOf(recording, adapter);
      const helper = adapter.tasks[taskOf(recording)] as TaskHelper;
      const bytes = [...recording.body].map((byte) => Buffer.from([byte]));
      for (const parts of [[recording.body], bytes]) {
        const request = requestOf(recording, true);
        const reader = helper.openStream?.(request, target);
        if (reader === undefined) expect.unreachable('the task does not stream');
        const { data, content, fault } = replay(reader, parts);
        expect({ content, fault }).toEqual({ content: true, fault: null });
        expect(data.map((chunk) => stringifyExact(parseExact(chunk)))).toEqual(expectedChunks(recording.events ?? []));
        expect(reader.isFinished()).toBe(true);
        compareUsage(reader.usage(), recording);
        if (recording.usage === null) expect(reader.usageChunk()).toBeNull();
        else expect((parseExact(reader.usageChunk() ?? '') as Json)['usage']).toEqual(recording.usage);
        expect(reader.outputTexts().join('')).not.toBe('');
      }
    },
  );

  it.each(streams)(
    '%s, %s: a stream cut before its finish reason is not taken for a whole one',
    (_name, _form, recording) => {
      const adapter = adapterOf(recording);
      const helper = adapter.tasks[taskOf(recording)] as TaskHelper;
      const end = recording.body.toString('latin1').search(/"finish_reason": ?"[^"]/);
      for (const cut of [1, Math.floor(end / 3), Math.floor(end / 2), end]) {
        const reader = helper.openStream?.(requestOf(recording, false), targetOf(recording, adapter));
        if (reader === undefined) expect.unreachable('the task does not stream');
        expect(replay(reader, [recording.body.subarray(0, cut)]).fault).toBeNull();
        expect(reader.isFinished()).toBe(false);
      }
    },
  );

  it.each(ERRORS.map((recording) => [recording.name, recording] as const))(
    '%s: the error is read',
    (_name, recording) => {
      const failure = failureFromStatus({
        status: recording.status,
        headers: recording.headers,
        body: recording.body,
        secrets: ['hf_not-in-any-recording'],
        now: NOW,
      });
      expect(failure).toMatchObject({ kind: 'status', status: recording.status, sent: true });
      // A message for people: neither empty nor a piece of JSON.
      expect(failure.message).toMatch(/^[^{[<]/);
      expect(recording.body.toString()).toContain(JSON.stringify(failure.message.slice(-12)).slice(1, -1));
      expect(failure.loadingMs !== null).toBe(recording.body.includes('estimated_time'));
      const { action } = defaultVerdict(failure);
      const expected: Record<number, string[]> = {
        400: ['reject', 'fall-back'],
        401: ['rotate-key'],
        404: ['fall-back'],
        422: ['reject', 'fall-back'],
        429: ['rotate-key'],
        503: ['wait', 'retry'],
      };
      expect(expected[recording.status]).toContain(action);
    },
  );

  it.each(
    recordings
      .filter(({ kind, status }) => kind === 'error' && status === 200)
      .map((recording) => [recording.name, recording] as const),
  )('%s: the error inside a 200 is read', (_name, recording) => {
    const helper = adapterOf(recording).tasks.chat as TaskHelper;
    const request = openTaskRequest(
      'chat',
      parseJsonBody('{"model":"m","messages":[{"role":"user","content":"a"}],"stream":true}'),
    );
    const reader = helper.openStream?.(request, targetOf(recording, adapterOf(recording)));
    const events = recording.events ?? [];
    const steps = events.map((data) => reader?.read({ name: null, data }));
    const fault = steps.find((step) => step?.kind === 'fault');
    if (fault?.kind !== 'fault') expect.unreachable('no error is found');
    expect(failureFromFault(fault.fault, [])).toMatchObject({ kind: 'status', status: 422 });
  });
});

// Without a fixture there is nothing to describe, and nothing that is skipped.
if (liveExchanges.length > 0) {
  describe('exchanges of live tests', () => {
    it.each(liveExchanges)('%s: asks the same, and reads the answer', (_name, fixture) => replayLive(fixture));
  });
}

function expectBase64(body: string, recorded: string): void {
  const given = JSON.parse(recorded) as { data: Array<{ embedding: number[] }> };
  const got = JSON.parse(body) as { data: Array<{ embedding: string }> };
  for (const [index, item] of given.data.entries()) {
    const bytes = Buffer.from(got.data[index]?.embedding ?? '', 'base64');
    const floats = item.embedding.map((_value, at) => bytes.readFloatLE(at * 4));
    expect(floats).toEqual(item.embedding.map(Math.fround));
  }
  const bare = (text: string) => text.replace(/"embedding":\s*("[^"]*"|\[[^\]]*\])/g, '');
  expect(bare(body)).toBe(bare(recorded));
}
