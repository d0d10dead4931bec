import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { findAdapter } from '../../src/providers/registry.js';
import { replayLive } from '../conformance/live-replay.js';
import {
  callOf,
  done,
  predicted,
  replicateScript,
  running,
  STREAM_PATH,
  streamed,
} from '../support/replicate-upstream.js';
import { type RecordedRequest, startUpstream, type UpstreamHandler } from '../support/scripted-upstream.js';
import type { LiveExchange } from './ask.js';
import { casesOf } from './cases.js';
import { openEntry } from './entry.js';
import { type LiveFixture, readFixtures, toFixture } from './fixture.js';
import { KEY, run, spoil, suite, type } from './runs.js';

const ORGANISATION = 'org-Ab12Cd34Ef56Gh78';
const IMAGE = 'https://replicate.delivery/xezq/1/out-0.webp';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-live-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function replicateUpstream(script: (url: string) => UpstreamHandler) {
  const upstream = await startUpstream([]);
  upstream.setScript(script(upstream.url));
  onTestFinished(() => upstream.close());
  return upstream;
}

/** Answers to a chat, its stream and an image, none of which has ended when it is first asked for. */
function everything(url: string): UpstreamHandler {
  const logs = `for ${KEY} of ${ORGANISATION}, jane@example.org`;
  const chat = replicateScript({ make: running({ logs }), ask: [running({ logs }), done({ logs })] });
  const stream = replicateScript({
    make: running({ urls: { stream: `${url}${STREAM_PATH}` } }),
    stream: { headers: { 'content-type': 'text/event-stream' }, rawBytes: streamed(['five ', 'words']) },
    ask: [running(), done()],
  });
  const image = replicateScript({ make: running(), ask: [running({ status: 'starting' }), done({ output: [IMAGE] })] });
  let current = chat;
  return (request, index) => {
    if (callOf(request) === 'make') current = ofMake(request);
    return current(request, index);
  };

  function ofMake({ path, headers }: RecordedRequest): UpstreamHandler {
    if (path.includes('flux')) return image;
    return headers['prefer'] === undefined ? stream : chat;
  }
}

const urlsOf = ({ request, steps = [] }: LiveFixture) =>
  [request, ...steps.map((step) => step.request)].map(({ method, url }) => `${method} ${new URL(url).pathname}`);

describe('predictions', () => {
  const asks = 'GET /v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu';

  it('are followed to their end, and every exchange of them is written down and replayed', async () => {
    const upstream = await replicateUpstream(everything);
    const env = { REPLICATE_API_TOKEN: KEY };
    const ended = await type(['replicate', '--base-url', upstream.url, '--out', folder, '--follow', '30'], env);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain('replicate: 3 ok, 4 refused, 0 FAILED, 0 not tried');
    expect(ended.stdout).toMatch(/chat stream: \S+, input 10 output 5,/);
    const fixtures = readFixtures(folder);
    const making = (model: string) => `POST /v1/models/${model}/predictions`;
    const llama = 'meta/meta-llama-3-70b-instruct';
    expect(Object.fromEntries(fixtures.map(([name, fixture]) => [name, urlsOf(fixture)]))).toEqual({
      'replicate-chat.json': [making(llama), asks, asks],
      'replicate-chat-stream.json': [making(llama), `GET ${STREAM_PATH}`, asks, asks],
      'replicate-image.json': [making('black-forest-labs/flux-schnell'), asks, asks],
    });
    expect(upstream.requests.map(({ headers }) => headers['authorization'])).toEqual(Array(10).fill(`Bearer ${KEY}`));
    for (const [name, fixture] of fixtures) {
      const text = readFileSync(join(folder, name), 'utf8');
      for (const secret of [KEY, ORGANISATION, 'jane@', upstream.url]) expect(text).not.toContain(secret);
      await replayLive(fixture);
    }
  }, 30_000);

  it('are replayed by the ordinary suite, which fails when a step would be asked or read otherwise', async () => {
    const upstream = await replicateUpstream(everything);
    await run(folder, 'replicate', upstream.url, { only: ['chat', 'chat stream', 'image'] });
    spoil(folder, 'replicate-image.json', IMAGE, 'no address');
    // Of the first answer and of the steps, only one: the adapter is led elsewhere.
    spoil(folder, 'replicate-chat-stream.json', `"url": "https://provider.invalid${STREAM_PATH}"`, '"url": "x"');
    expect(await suite(folder)).toEqual({
      passed: ['replicate-chat.json'],
      failed: ['replicate-chat-stream.json', 'replicate-image.json'],
    });
  }, 60_000);

  it('must be replayed whole: neither may a step be missing, nor one be left', async () => {
    const upstream = await replicateUpstream(everything);
    const { fixtures } = await run(folder, 'replicate', upstream.url, { only: ['image'] });
    const [, fixture] = fixtures[0] as [string, LiveFixture];
    const steps = fixture.steps ?? [];
    await expect(replayLive({ ...fixture, steps: steps.slice(0, -1) })).rejects.toThrow('the fixture ends before');
    await expect(replayLive({ ...fixture, steps: [...steps, ...steps] })).rejects.toThrow('steps that nobody asks for');
    await expect(replayLive(fixture)).resolves.toBeUndefined();
  });

  const abroad = 'http://127.0.0.1:9/stream/1';
  it.each<[string, string, Parameters<typeof replicateScript>[0], string[], string[]]>([
    [
      'do not end in time',
      'chat',
      { ask: running() },
      ['did not end within 0.9 s', 'it was cancelled'],
      ['ask', 'cancel'],
    ],
    ['hang', 'chat', { ask: { hang: true } }, ['did not end within 0.9 s', 'it was cancelled'], ['ask', 'cancel']],
    [
      'cannot be asked for, or cancelled',
      'chat',
      { ask: { status: 500, body: { detail: 'down' } }, cancel: { status: 502, body: { detail: 'out' } } },
      ['could not be followed: 500: down', 'it could not be cancelled, and may go on and cost: 502: out'],
      ['ask', 'cancel'],
    ],
    ['fail', 'chat', { ask: predicted({ status: 'failed', error: 'out of paper' }) }, ['out of paper'], ['ask']],
    [
      'stream on another host',
      'chat stream',
      { make: running({ urls: { stream: abroad } }) },
      ['leads to another host, where the key is not sent', 'it was cancelled'],
      ['cancel'],
    ],
    [
      'break off their stream',
      'chat stream',
      { stream: { headers: { 'content-type': 'text/event-stream' }, rawBytes: streamed(['five'], null) } },
      ['the stream does not end', 'it was cancelled'],
      ['stream', 'cancel'],
    ],
  ])('that %s are failures, and nothing is written down', async (_what, name, answers, messages, calls) => {
    const upstream = await replicateUpstream((url) =>
      replicateScript({ make: running({ urls: { stream: `${url}${STREAM_PATH}` } }), ...answers }),
    );
    const { code, lines, fixtures } = await run(folder, 'replicate', upstream.url, { only: [name], followMs: 900 });
    expect({ code, fixtures }).toEqual({ code: 1, fixtures: [] });
    for (const message of messages) expect(lines[0]).toContain(message);
    expect(lines[0]).toMatch(/^FAILED/);
    const asked = upstream.requests.slice(1).map((request) => callOf(request) as string);
    expect([...new Set(asked)]).toEqual(calls);
  });

  it('with a stream whose address gives access are written down without that address', async () => {
    const adapter = findAdapter('replicate');
    const live = adapter === null ? undefined : casesOf(adapter).find((one) => one.name === 'chat stream');
    if (adapter === null || live === undefined) expect.unreachable('replicate streams');
    const entry = openEntry(adapter, null, { REPLICATE_API_TOKEN: KEY });
    const { upstream: target } = entry.target('meta/meta-llama-3-70b-instruct');
    const url = 'https://stream.replicate.com/v1/files/access-to-it?a=1&b=2';
    const root = 'https://api.replicate.com/v1';
    const { body: made } = running({ urls: { stream: url } });
    const json = { 'content-type': 'application/json' };
    const headers = { 'content-type': 'text/event-stream' };
    const helper = adapter.tasks.chat;
    if (helper === undefined) expect.unreachable('replicate chats');
    const first = { status: 201, headers: json, body: Buffer.from(JSON.stringify(made).replaceAll('/', '\\/')) };
    const exchange: LiveExchange = {
      case: live,
      target,
      request: {
        method: 'POST',
        url: `${root}/models/meta/meta-llama-3-70b-instruct/predictions`,
        headers: {},
        payload: { kind: 'bytes', body: Buffer.alloc(0), contentType: 'application/json' },
      },
      answer: first,
      steps: [
        {
          request: { method: 'GET', url, headers: {} },
          answer: { status: 200, headers, body: Buffer.from(streamed(['five'])) },
          isKeyless: true,
        },
        {
          request: { method: 'GET', url: `${root}/predictions/gm3qorzdhgbfurvjtvhg6dckhu`, headers: {} },
          answer: { status: 200, headers: json, body: Buffer.from(JSON.stringify(done().body)) },
          isKeyless: false,
        },
      ],
    };
    const fixture = toFixture(exchange, entry);
    expect(JSON.stringify(fixture)).not.toContain('access-to-it');
    await replayLive(fixture);
  });

  it('are asked for without the key where the address gives access', async () => {
    const [upstream, elsewhere] = [await startUpstream([running()]), await startUpstream([done()])];
    onTestFinished(async () => {
      await Promise.all([upstream.close(), elsewhere.close()]);
    });
    const adapter = findAdapter('replicate');
    const helper = adapter?.tasks.chat;
    if (adapter === null || helper === undefined) expect.unreachable('replicate chats');
    const leading: typeof helper = {
      ...helper,
      getResponse(...given) {
        const outcome = helper.getResponse(...given);
        if (outcome.ok !== 'later') return outcome;
        return { ok: 'later', next: { ...outcome.next, route: { method: 'GET', url: elsewhere.url }, keyless: true } };
      },
    };
    const { lines } = await run(folder, { ...adapter, tasks: { chat: leading } }, upstream.url, { only: ['chat'] });
    expect(lines[0]).toMatch(/^ok/);
    expect(upstream.requests.map(({ headers }) => headers['authorization'])).toEqual([`Bearer ${KEY}`]);
    expect(elsewhere.requests.map(({ headers }) => headers['authorization'])).toEqual([undefined]);
  });

  it.each(['0', 'soon', '', '1e9'])('are not followed for "%s" seconds: nothing is sent', async (seconds) => {
    const upstream = await replicateUpstream(everything);
    const args = ['replicate', '--base-url', upstream.url, '--out', folder, '--follow', seconds];
    const ended = await type(args, { REPLICATE_API_TOKEN: KEY });
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(`--follow ${seconds}: give seconds`) });
    expect(upstream.requests).toEqual([]);
  });
});
