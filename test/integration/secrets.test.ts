import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import { answer, chatBody, chunk, failure, IMPATIENT, provider, startRouter } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream, type UpstreamStep } from '../support/scripted-upstream.js';

/** A provider that repeats the key it was sent must not carry it to the client, the log or the ledger. */

const KEYS = ['our-provider-key-7f3a9c51e8d24b60', 'another/key+of=ours-0d4e2b7718f9ac35'];

/** Every form in which a provider may repeat a key. */
function formsOf(key: string): string[] {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return [
    key,
    `Bearer ${key}`,
    encodeURIComponent(key),
    base64(key),
    base64(`user:${key}@host`),
    Buffer.from(`?${key}>`).toString('base64url'),
  ];
}

/** Pieces of those forms that give the key away. */
const PIECES = KEYS.flatMap((key) => [
  key.slice(0, 20),
  ...formsOf(key)
    .slice(3)
    .map((form) => form.slice(8, 28)),
]);

let daemon: Daemon;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  upstream = await startUpstream([answer()]);
  daemon = await startRouter([provider('a', upstream.url, { api_keys: KEYS })], {
    logging: { level: 'trace' },
    policy: { ...IMPATIENT, cooldown: { failures: 100, window: '1s', open: '1ms' } },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await upstream?.close();
});

const half = chunk({ role: 'assistant', content: 'half' });

/** What the provider answers, given what it says and the key itself. */
const ECHOES: Array<[string, (said: string, key: string) => UpstreamStep]> = [
  ['an error’s every field', (said, key) => failure(400, asError(said, key))],
  ['an error as text', (said) => failure(422, said)],
  ['an error page', (said) => failure(404, `<html><title>${said}</title><body>${said}</body></html>`)],
  ['a server error', (said, key) => failure(500, asError(said, key))],
  ['a rate limit', (said, key) => failure(429, asError(said, key), { 'retry-after': '0' })],
  ['an error inside a 200', (said, key) => failure(200, asError(said, key))],
  ['what is no JSON', (said) => ({ headers: { 'content-type': 'application/json' }, body: `{"oops": "${said}` })],
  ['an error inside a stream', (said, key) => ({ sse: [half, JSON.stringify(asError(said, key))] })],
  ['the first event of a stream', (said, key) => ({ sse: [JSON.stringify(asError(said, key))] })],
  ['what is no event', (said) => ({ sse: [half, `{"choices": "${said}`] })],
  ['headers', (said, key) => ({ ...answer(), headers: { 'openai-organization': said, 'openai-version': key } })],
  ['headers of an error', (said, key) => failure(400, 'no', { 'x-should-retry': key, 'openai-organization': said })],
  // Last: it disables the keys.
  ['a refusal of the key', (said, key) => failure(401, asError(said, key))],
];

function asError(said: string, key: string): object {
  return { error: { message: said, type: key, code: key, param: key } };
}

it.each(ECHOES)('removes a key that is repeated in %s', async (_where, step) => {
  upstream.setScript((request) => {
    const key = String(request.headers['authorization']).replace('Bearer ', '');
    return step(`wrong key: ${formsOf(key).join(', ')}`, key);
  });
  for (const isStream of [false, true, false, true]) {
    const response = await daemon.post('/v1/chat/completions', chatBody({ stream: isStream }));
    const seen = `${JSON.stringify([...response.headers])}${await response.text()}`;
    for (const piece of PIECES) expect(seen).not.toContain(piece);
  }
});

it('keeps no key in the log and the ledger after all that', async () => {
  expect(upstream.requests.length).toBeGreaterThan(ECHOES.length);
  const places: Array<[string, string]> = [['log', daemon.output()]];
  for (const name of readdirSync(daemon.dir)) {
    if (name.startsWith('waybill.db')) places.push([name, readFileSync(join(daemon.dir, name), 'latin1')]);
  }
  for (const path of ['/config', '/providers', '/requests?limit=1000']) {
    places.push([path, JSON.stringify(await daemon.admin(path))]);
  }
  expect(places.length).toBeGreaterThanOrEqual(5);
  for (const [place, text] of places) {
    for (const piece of PIECES) expect(text.includes(piece), `${piece} in ${place}`).toBe(false);
  }
});

it('never touches what the assistant says', async () => {
  await daemon.stop();
  daemon = await startRouter([provider('a', upstream.url, { api_keys: KEYS })]);
  const words = `sk-1234567890abcdefABCDEF Bearer abcdefghijklmnop ${KEYS.join(' ')}`;
  upstream.setScript([answer(words)]);
  const response = await daemon.post('/v1/chat/completions', chatBody());
  expect(((await response.json()) as { choices: unknown[] }).choices[0]).toMatchObject({ message: { content: words } });
});
