import { InferenceClient } from '@huggingface/inference';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { ADMIN_KEY, CLIENT_KEY, type Daemon, startDaemon } from '../support/daemon.js';

/**
 * The contract of Hugging Face's partner API: calls made with the official package, their `Inference-Id` collected, and
 * the partner asked in bulk what they cost, in nano-USD.
 */

let sandbox: RunningSandbox;
let daemon: Daemon;

beforeAll(async () => {
  sandbox = await startSandbox();
  daemon = await startDaemon({
    config: {
      llm_providers: [
        {
          id: 'acme',
          type: 'huggingface',
          base_url: `${sandbox.url}/v1`,
          api_keys: ['hf_acme'],
          models: [{ id: 'org/sandbox-small' }],
          pricing: { input_token_cost: '0.0000001', output_token_cost: '0.0000004' },
        },
      ],
    },
  });
});
afterAll(async () => {
  await daemon?.stop();
  await sandbox?.close();
});

interface Billing {
  requests: Array<{ requestId: string; costNanoUsd: number }>;
}

async function bill(requestIds: string[]): Promise<{ billing: Billing; ms: number }> {
  const started = performance.now();
  const response = await fetch(`${daemon.url}/api/partners/acme/billing`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ requestIds }),
  });
  const billing = (await response.json()) as Billing;
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('application/json');
  return { billing, ms: performance.now() - started };
}

it('bills what the package’s calls cost, by the ids their answers carried, up to 10,000 a call', async () => {
  const ids: string[] = [];
  const costs: number[] = [];
  const collecting = (async (url: string, init?: RequestInit) => {
    const response = await fetch(url, init);
    ids.push(response.headers.get('Inference-Id') ?? '');
    return response;
  }) as typeof fetch;
  const client = new InferenceClient(CLIENT_KEY, { endpointUrl: `${daemon.url}/v1`, fetch: collecting });
  for (let words = 1; words <= 20; words += 1) {
    const content = Array.from({ length: words }, () => 'word').join(' ');
    const ask = { model: 'org/sandbox-small', messages: [{ role: 'user', content }] };
    if (words % 2 === 0) {
      const { usage } = await client.chatCompletion(ask);
      costs.push((usage as unknown as { cost_nano_usd: number }).cost_nano_usd);
    } else {
      for await (const _ of client.chatCompletionStream(ask));
      costs.push(words * 100 + 16 * 400);
    }
  }
  expect(new Set(ids).size).toBe(20);
  const strangers = Array.from({ length: 9_980 }, (_, n) => `deadbeef${n}`);
  const { billing, ms } = await bill([...strangers, ...ids]);
  expect(billing).toEqual({ requests: ids.map((requestId, n) => ({ requestId, costNanoUsd: costs[n] })) });
  for (const { costNanoUsd } of billing.requests) expect(Number.isSafeInteger(costNanoUsd)).toBe(true);
  expect(ms).toBeLessThan(1_000);
  expect((await bill([...strangers, ...ids])).billing).toEqual(billing);
});
