import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseConfigText } from '../../src/config/parse.js';
import { formatUsd, formatUsdShort } from '../../src/domain/money.js';
import { adapters } from '../../src/providers/registry.js';
import { type RunningSandbox, startSandbox } from '../../src/providers/sandbox/server.js';
import { blocksOf, ROOT } from './pages.js';

const readme = { path: 'README.md', text: readFileSync(join(ROOT, 'README.md'), 'utf8') };

let sandbox: RunningSandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => {
  await sandbox.close();
});

/** The first request that the README sends. */
function firstBody(): string {
  const body = blocksOf(readme)
    .map(({ text }) => /curl [\s\S]*?-d '([^']+)'/.exec(text)?.[1])
    .find((found) => found !== undefined);
  if (body === undefined) throw new Error('the README has no curl with a body');
  return body;
}

/** What the example file charges for a model, in nano-USD a token. */
function ratesOf(model: string): { input: bigint; output: bigint } {
  const text = readFileSync(join(ROOT, 'config.example.yaml'), 'utf8');
  const { config } = parseConfigText({ text, env: {}, readFile: () => '', knownTypes: adapters });
  const priced = config?.providers.flatMap(({ models }) => models ?? []).find(({ id }) => id === model)?.pricing;
  const { input, output } = priced?.rates ?? {};
  if (input === undefined || output === undefined) throw new Error(`${model} has no price in config.example.yaml`);
  expect([input % 1_000_000n, output % 1_000_000n]).toEqual([0n, 0n]);
  return { input: input / 1_000_000n, output: output / 1_000_000n };
}

it('works out the cost that the sandbox and the example file make of its first request', async () => {
  const body = firstBody();
  const answer = await fetch(`${sandbox.url}/v1/chat/completions`, { method: 'POST', body });
  const { usage } = (await answer.json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
  const rates = ratesOf((JSON.parse(body) as { model: string }).model);
  const [input, output] = [BigInt(usage.prompt_tokens), BigInt(usage.completion_tokens)];
  const cost = input * rates.input + output * rates.output;
  const sum = `${input} × ${rates.input} + ${output} × ${rates.output} = ${cost.toLocaleString('en-US')} nano-USD`;
  expect(readme.text).toContain(`${sum} = ${formatUsd(cost)} USD`);
  expect(readme.text).toContain(`"cost":${formatUsdShort(cost)},"cost_nano_usd":${cost}`);
  expect(readme.text).toMatch(new RegExp(`^ +1 +1 +0 +${input} +${output} +${formatUsd(cost)}$`, 'm'));
});
