import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';
import { answer, chatBody, PRICE, stream } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream, type UpstreamHandler } from '../support/scripted-upstream.js';

/** Reload after reload under load: no request fails, and nothing of an old configuration stays. */

const RELOADS = 200;
const CLIENTS = 100;
/** A daemon that keeps its old configurations does not get through with this much. */
const HEAP_MB = 72;

let daemon: Daemon;
let upstreams: ScriptedUpstream[];

const script: UpstreamHandler = ({ body }) => (body.includes('"stream":true') ? stream({ chunkDelayMs: 5 }) : answer());

beforeAll(async () => {
  upstreams = await Promise.all([startUpstream(script), startUpstream(script)]);
});
afterEach(() => daemon?.stop());
afterAll(() => Promise.all(upstreams.map((upstream) => upstream.close())));

/** Another provider, key, price, address and set of clients each time; one client stays. */
function config(nth: number): { [key: string]: unknown } {
  const clients = Array.from({ length: CLIENTS }, (_, id) => ({
    id: `client-${id}`,
    key: `key-${nth}-${id}`,
    budget: { usd: 5, per: 'day' },
  }));
  return {
    api_keys: [{ id: 'tester', key: CLIENT_KEY, limits: { req_per_min: 1_000_000 } }, ...clients],
    llm_providers: [
      {
        ...{ id: `provider-${nth % 7}`, type: 'openai_compatible', base_url: `${upstreams[nth % 2]?.url}/v1` },
        ...{ api_keys: [`upstream-key-${nth}`], models: [{ id: 'm' }], timeout: { connect: `${(nth % 50) + 1}s` } },
        pricing: { ...PRICE, input_token_cost: `0.00000${(nth % 9) + 1}` },
      },
    ],
  };
}

it(`fails no request over ${RELOADS} reloads, and keeps nothing of them`, { timeout: 120_000 }, async () => {
  daemon = await startDaemon({
    config: config(0),
    env: { NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` },
  });
  const failed: string[] = [];
  let answered = 0;
  let isOver = false;
  const askOn = async (isStream: boolean) => {
    const end = isStream ? 'data: [DONE]\n\n' : '}';
    while (!isOver && failed.length === 0) {
      try {
        const response = await daemon.post('/v1/chat/completions', chatBody({ stream: isStream }));
        const text = await response.text();
        if (response.status === 200 && text.endsWith(end)) answered += 1;
        else failed.push(`${response.status} ${text}`);
      } catch (error) {
        failed.push(String(error));
      }
    }
  };
  const workers = [askOn(false), askOn(false), askOn(true)];
  let generation = 1;
  for (let nth = 1; nth <= RELOADS; nth += 1) {
    daemon.configure(config(nth));
    const { status, body } = await daemon.reload();
    expect(status).toBe(200);
    generation = body.generation ?? 0;
  }
  isOver = true;
  await Promise.all(workers);
  expect(generation).toBe(RELOADS + 1);
  expect(failed).toEqual([]);
  expect(answered).toBeGreaterThan(0);
});
