import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { systemClock } from '../../src/composition/clock.js';
import type { ProviderAdapter } from '../../src/domain/provider.js';
import { findAdapter } from '../../src/providers/registry.js';
import { createUpstreamClient } from '../../src/upstream/client.js';
import { openEntry, variablesOf } from './entry.js';
import { readFixtures } from './fixture.js';
import { parseModels } from './models.js';
import { runLive } from './run.js';

const ROOT = join(import.meta.dirname, '../..');
export const KEY = 'sk-ant-api03-Zm9vYmFyQmF6UXV4-Tm90QVJlYWxLZXk';

/** One run against an upstream that stands where the provider would; fixtures go to the folder. */
export async function run(
  folder: string,
  type: string | ProviderAdapter,
  baseUrl: string,
  options: { models?: string[]; only?: string[]; followMs?: number } = {},
) {
  const adapter = typeof type === 'string' ? (findAdapter(type) as ProviderAdapter) : type;
  const env = Object.fromEntries(variablesOf(adapter).map(({ name }) => [name, KEY]));
  const client = createUpstreamClient({ clock: systemClock });
  const lines: string[] = [];
  const { models = [], only = [], followMs = 10_000 } = options;
  const entry = openEntry(adapter, baseUrl, env);
  try {
    const live = { entry, models: parseModels(models), only, out: folder, followMs, client };
    const code = await runLive(live, (line) => {
      lines.push(line);
    });
    return { code, lines, fixtures: readFixtures(folder) };
  } finally {
    await client.close();
  }
}

/** `npm run test:live`, as it is typed. */
export async function type(args: readonly string[], env: Record<string, string>) {
  const { PATH = '', HOME = '' } = process.env;
  const options = { cwd: ROOT, env: { PATH, HOME, ...env } };
  return promisify(execFile)(process.execPath, ['--import', 'tsx', 'test/live/main.ts', ...args], options).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  );
}

/** Changes a fixture. */
export function spoil(folder: string, name: string, text: string, other: string): void {
  const file = join(folder, name);
  const whole = readFileSync(file, 'utf8');
  expect(whole).toContain(text);
  writeFileSync(file, whole.replaceAll(text, other));
}

/** The ordinary suite over the fixtures of a folder. */
export async function suite(folder: string): Promise<{ passed: string[]; failed: string[] }> {
  const report = join(folder, 'report', 'suite.json');
  const args = ['run', 'test/conformance/recordings.test.ts', '--reporter=json', `--outputFile=${report}`];
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, WAYBILL_LIVE_FIXTURES: folder };
  // It ends with 1 when a test fails; the report says which.
  await promisify(execFile)(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], { cwd: ROOT, env }).catch(
    (error: { code: unknown }) => {
      expect(error.code).toBe(1);
    },
  );
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: Array<{ assertionResults: Array<{ title: string; status: string }> }>;
  };
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const names = (status: string) =>
    tests.filter((test) => test.status === status).map(({ title }) => title.split(':')[0] as string);
  return { passed: names('passed'), failed: names('failed') };
}
