import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.js';
import { chatBody, provider, startRouter, stream } from '../support/failing-providers.js';
import { type ScriptedUpstream, startUpstream } from '../support/scripted-upstream.js';

let daemon: Daemon;
let soon: ScriptedUpstream;
let fast: ScriptedUpstream;

beforeAll(async () => {
  // The first begins at once and takes its time; the second begins later and is done with it.
  soon = await startUpstream([stream({ chunkDelayMs: 60 })]);
  fast = await startUpstream([stream({ delayMs: 100 })]);
  daemon = await startRouter([provider('soon', soon.url), provider('fast', fast.url)]);
});
afterAll(async () => {
  await daemon?.stop();
  await soon?.close();
  await fast?.close();
});

it('`:fastest` is the one that writes most tokens a second, not the one that begins first', async () => {
  const asked: Array<string | null> = [];
  for (let i = 0; i < 8; i += 1) {
    const response = await daemon.post('/v1/chat/completions', chatBody({ model: 'm:fastest', stream: true }));
    expect(await response.text()).toContain('[DONE]');
    asked.push(response.headers.get('x-waybill-provider'));
  }
  expect(asked.slice(0, 2).sort()).toEqual(['fast', 'soon']);
  expect(asked.slice(2)).toEqual(['fast', 'fast', 'fast', 'fast', 'fast', 'fast']);
});
