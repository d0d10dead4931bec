import { afterEach, describe, expect, it } from 'vitest';
import { parseExact, pruneNulls, stringifyExact } from '../../support/exact-json.js';
import { loadRecordings, pruned, recordingsFolder } from '../../support/recordings.js';
import { type ScriptedUpstream, startUpstream } from '../../support/scripted-upstream.js';

let upstream: ScriptedUpstream | null = null;

afterEach(async () => {
  await upstream?.close();
  upstream = null;
});

describe('scripted upstream', () => {
  it('records what it is asked and goes through its queue, the last step staying', async () => {
    upstream = await startUpstream([{ status: 429, headers: { 'retry-after': '1' } }, { body: { ok: true } }]);
    const first = await fetch(`${upstream.url}/a?b=c`, { method: 'POST', headers: { 'x-y': 'z' }, body: 'text' });
    expect([first.status, first.headers.get('retry-after'), await first.text()]).toEqual([429, '1', '']);
    expect(await fetch(upstream.url).then((response) => response.json())).toEqual({ ok: true });
    expect(await fetch(upstream.url).then((response) => response.json())).toEqual({ ok: true });
    expect(upstream.requests).toHaveLength(3);
    expect(upstream.requests[0]).toMatchObject({ method: 'POST', path: '/a?b=c', body: 'text', aborted: false });
    expect(upstream.requests[0]?.headers['x-y']).toBe('z');
  });

  it('sends a body byte by byte, and unharmed', async () => {
    upstream = await startUpstream([{ rawBytes: 'data: grüße\n\n', splitAt: 1 }]);
    const response = await fetch(upstream.url);
    let parts = 0;
    const bytes: Uint8Array[] = [];
    for await (const part of response.body as AsyncIterable<Uint8Array>) {
      parts++;
      bytes.push(part);
    }
    expect(Buffer.concat(bytes).toString()).toBe('data: grüße\n\n');
    expect(parts).toBeGreaterThan(1);
  });

  it('cuts after so many bytes', async () => {
    upstream = await startUpstream([{ sse: ['one', 'two'], cutAfterBytes: 11 }]);
    const response = await fetch(upstream.url);
    await expect(response.text()).rejects.toThrow();
    await upstream.requests[0]?.closed;
    expect(upstream.requests[0]?.aborted).toBe(false);
  });

  it('sees a caller leave', async () => {
    upstream = await startUpstream([{ hang: true }]);
    const abort = new AbortController();
    const ended = fetch(upstream.url, { signal: abort.signal }).catch(() => 'aborted');
    await upstream.waitForRequests(1);
    abort.abort();
    expect(await ended).toBe('aborted');
    await upstream.requests[0]?.closed;
    expect(upstream.requests[0]?.aborted).toBe(true);
  });
});

describe('exact JSON', () => {
  it('keeps every number as it was written', () => {
    const text = '{"a":12345678901234567890,"b":[1.0,1e-05,-0],"c":"7 \\" 8","d":null}';
    expect(stringifyExact(parseExact(text))).toBe(text);
    expect(parseExact('[1.0]')).not.toEqual(parseExact('[1]'));
    expect(stringifyExact(pruneNulls(parseExact(text)))).toBe(text.replace(',"d":null', ''));
  });
});

describe.skipIf(recordingsFolder() === null)('recordings', () => {
  it('all have a kind, a status and a body that can be sent', () => {
    const recordings = loadRecordings();
    expect(recordings.length).toBeGreaterThan(100);
    for (const recording of recordings) {
      expect(recording.status, recording.name).toBeGreaterThanOrEqual(200);
      if (recording.stream) expect(recording.events?.length, recording.name).toBeGreaterThan(0);
      if (recording.source === 'openai-compatible') expect(pruned(recording).body.length).toBeGreaterThan(0);
    }
  });
});
