import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { adapters } from '../../src/providers/registry.js';
import { startSandbox } from '../../src/providers/sandbox/server.js';
import { replayLive } from '../conformance/live-replay.js';
import { type RecordedRequest, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';
import { claudeAnswer } from './claude-answers.js';
import { openEntry, variablesOf } from './entry.js';
import { readFixtures } from './fixture.js';
import { KEY, run, spoil, suite, type } from './runs.js';

const ORGANISATION = 'org-Ab12Cd34Ef56Gh78';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-live-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function claudeUpstream(answer: (request: RecordedRequest) => UpstreamStep = claudeAnswer) {
  const upstream = await startUpstream(answer);
  onTestFinished(() => upstream.close());
  return upstream;
}

describe('without a key', () => {
  const keyed = adapters.filter((adapter) => adapter.needsKey).map((adapter) => [adapter.id, adapter] as const);

  it.each(keyed)('%s: names the variable to set', (_id, adapter) => {
    const [first] = variablesOf(adapter);
    expect(() => openEntry(adapter, 'http://127.0.0.1:9', {})).toThrow(`set ${first?.name}`);
  });

  it('a provider that needs none has to be given by its address', () => {
    for (const adapter of adapters.filter((one) => !one.needsKey)) {
      expect(() => openEntry(adapter, null, {})).toThrow('--base-url');
      expect(() => openEntry(adapter, 'http://127.0.0.1:9', {})).not.toThrow();
    }
  });

  it('ends with 2, says which variable is missing, and sends nothing', async () => {
    const upstream = await claudeUpstream();
    const ended = await type(['claude', '--base-url', upstream.url, '--out', folder], {});
    expect(ended).toEqual({
      code: 2,
      stdout: '',
      stderr: 'claude: set ANTHROPIC_API_KEY to a key of yours; nothing was sent\n',
    });
    expect(upstream.requests).toEqual([]);
    expect(readFixtures(folder)).toEqual([]);
  });
});

describe('with a key', () => {
  it('asks for everything the adapter claims, and writes each exchange down', async () => {
    const upstream = await claudeUpstream();
    const ended = await type(['claude', '--base-url', upstream.url, '--out', folder], { ANTHROPIC_API_KEY: KEY });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain('claude: 6 ok, 0 refused, 0 FAILED, 0 not tried');
    const ways = ['chat', 'tools', 'structured output'].flatMap((name) => [name, `${name} stream`]);
    expect(readFixtures(folder).map(([, { meta }]) => meta.kind)).toEqual(expect.arrayContaining(ways));
    expect(upstream.requests.map(({ headers }) => headers['x-api-key'])).toEqual(ways.map(() => KEY));
  });

  it('tries every task of OpenAI’s dialect that has a model, and says of the others that they were not tried', async () => {
    const sandbox = await startSandbox();
    onTestFinished(() => sandbox.close());
    const models = ['chat', 'completion', 'embedding', 'image', 'speech', 'transcription', 'moderation'];
    const named = models.map((task) => `${task}=sandbox-${task}`);
    // What the sandbox says to a prompt is no call of a tool.
    const only = [...models, 'chat stream', 'completion stream', 'structured output'];
    const { code, lines, fixtures } = await run(folder, 'openai', `${sandbox.url}/v1`, { models: named, only });
    expect(lines.at(-1)).toBe('openai: 10 ok, 0 refused, 0 FAILED, 0 not tried');
    expect(code).toBe(0);
    for (const [, fixture] of fixtures) await replayLive(fixture);
    const without = await run(folder, 'openai_compatible', `${sandbox.url}/v1`, { only: ['embedding'] });
    expect(without).toMatchObject({
      code: 1,
      lines: [expect.stringContaining('--model embedding=ID'), expect.any(String)],
    });
  });

  it.each<[string, (request: RecordedRequest) => UpstreamStep, string]>([
    ['an error', () => ({ status: 401, body: { error: { message: `no key ${KEY}` } } }), '401: no key [redacted]'],
    ['a stream that breaks off', (request) => cutShort(claudeAnswer(request)), 'the stream does not end'],
    ['an answer in words where a call was wanted', () => claudeAnswer({ body: '{}' }), 'the tool was not called'],
  ])('takes %s for a failure, and writes nothing down', async (_what, answer, message) => {
    const upstream = await claudeUpstream(answer);
    const { code, lines } = await run(folder, 'claude', upstream.url, { only: ['tools stream', 'tools'] });
    expect(code).toBe(1);
    expect(lines.join('\n')).toContain(message);
    expect(lines.join('\n')).not.toContain(KEY);
    expect(readFixtures(folder).map(([name]) => name)).not.toContain('claude-tools-stream.json');
  });
});

function cutShort(step: UpstreamStep): UpstreamStep {
  return step.sse === undefined && typeof step.rawBytes === 'string'
    ? { ...step, rawBytes: step.rawBytes.slice(0, step.rawBytes.indexOf('event: message_delta')) }
    : step;
}

describe('what is written down', () => {
  /** Repeats the key, and says whose it is, wherever a provider could. */
  function leaky(request: RecordedRequest): UpstreamStep {
    const step = claudeAnswer(request);
    const text = String(step.rawBytes).replaceAll('Lisbon', `Lisbon for ${KEY} of ${ORGANISATION}, jane@example.org`);
    const headers = {
      ...step.headers,
      'anthropic-organization-id': ORGANISATION,
      'set-cookie': `session=${KEY}`,
      'request-id': `req_${KEY}`,
      'x-echo': Buffer.from(KEY).toString('base64'),
    };
    return { ...step, rawBytes: text, headers };
  }

  it('holds no key, no organisation and no cookie, wherever the provider repeated them', async () => {
    const upstream = await claudeUpstream(leaky);
    const { code, fixtures } = await run(folder, 'claude', upstream.url, { only: ['tools', 'structured output'] });
    expect(code).toBe(0);
    expect(fixtures).toHaveLength(2);
    for (const [name, fixture] of fixtures) {
      const text = readFileSync(join(folder, name), 'utf8');
      for (const secret of [KEY, encodeURIComponent(KEY), ORGANISATION, 'session=', 'jane@', upstream.url]) {
        expect(text).not.toContain(secret);
      }
      expect(text).not.toContain(Buffer.from(KEY).toString('base64').slice(4, 40));
      expect(fixture.meta.headers_dropped).toEqual(expect.arrayContaining(['x-api-key', 'set-cookie', 'x-echo']));
      expect(fixture.response.body).toContain('[redacted]');
      await replayLive(fixture);
    }
  });

  it('is nothing where bytes hold the key: they cannot be changed', async () => {
    const sound = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x00]), Buffer.from(KEY)]);
    const upstream = await claudeUpstream(() => ({ headers: { 'content-type': 'audio/mpeg' }, rawBytes: sound }));
    await expect(run(folder, 'openai', `${upstream.url}/v1`, { only: ['speech'] })).rejects.toThrow(
      'looks like a secret',
    );
    expect(readFixtures(folder)).toEqual([]);
  });

  it('is replayed by the ordinary suite, which fails when the adapter would ask or read something else', async () => {
    const upstream = await claudeUpstream();
    await run(folder, 'claude', upstream.url, { only: ['tools', 'chat', 'chat stream'] });
    spoil(folder, 'claude-tools.json', 'get_weather', 'get_time');
    spoil(folder, 'claude-chat-stream.json', 'text_delta', 'other_delta');
    expect(await suite(folder)).toEqual({
      passed: ['claude-chat.json'],
      failed: ['claude-chat-stream.json', 'claude-tools.json'],
    });
  }, 60_000);
});
