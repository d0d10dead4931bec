/** A process that keeps one test runner warm. Told a file's new text and the tests, it says whether one of them fails. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVitest } from 'vitest/node';
import { CONFORMANCE } from './related.js';

export interface Order {
  file: string;
  source: string;
  tests: readonly string[];
  adapters: readonly string[];
}

/** The first test that failed, by name; null when all passed. */
export type Answer = { failed: string | null; tests: number } | { error: string };

const root = process.cwd();
// Verdicts must not depend on what ran before: each test file has modules of its own. Threads, so that whoever ends
// this process ends a test that goes round for ever.
const vitest = await createVitest(
  'test',
  { root, config: false, watch: false, pool: 'threads', maxWorkers: 1, bail: 1, reporters: [{}], testTimeout: 20_000 },
  { logLevel: 'silent' },
);
await vitest.globTestSpecifications();

process.on('message', (order: Order) => {
  run(order).then(
    (answer) => process.send?.(answer),
    (error: Error) => process.send?.({ error: error.stack ?? String(error) } satisfies Answer),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function run({ file, source, tests, adapters }: Order): Promise<Answer> {
  const path = join(root, file);
  const original = readFileSync(path, 'utf8');
  const project = vitest.getRootProject();
  const own = new RegExp(`^adapter (?:${adapters.join('|')}) `);
  const specifications = tests.map((test) =>
    project.createSpecification(join(root, test), test === CONFORMANCE ? { testNamePattern: own } : undefined),
  );
  try {
    writeFileSync(path, source);
    vitest.invalidateFile(path);
    vitest.state.filesMap.clear();
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
    const cases = testModules.flatMap((module) => [...module.children.allTests()]);
    const failed = cases.find((test) => test.result().state === 'failed')?.fullName;
    const fallen = testModules.find((module) => module.state() === 'failed')?.relativeModuleId;
    const stray = unhandledErrors.length > 0 ? 'an error outside any test' : null;
    return {
      failed: failed ?? fallen ?? stray,
      tests: cases.filter((test) => test.result().state === 'passed').length,
    };
  } finally {
    writeFileSync(path, original);
    vitest.invalidateFile(path);
  }
}
