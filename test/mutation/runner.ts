/** A process that keeps one test runner warm. Told a file's new text and the tests, it says whether one of them fails. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BaseSequencer, createVitest, type TestSpecification } from 'vitest/node';
import { CONFORMANCE } from './related.js';

export interface Order {
  file: string;
  source: string;
  tests: readonly string[];
  adapters: readonly string[];
}

/** The first test that failed, by name, and its file; null when all passed. */
export type Answer = { failed: { test: string; file: string } | null; tests: number } | { error: string };

/** Files in the order they are named in. */
class AsNamed extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files;
  }
}

const root = process.cwd();
// Verdicts must not depend on what ran before: each test file has modules of its own. Threads, so that whoever ends
// this process ends a test that goes round for ever.
const vitest = await createVitest(
  'test',
  {
    ...{ root, config: false, watch: false, reporters: [{}], testTimeout: 20_000 },
    ...{ pool: 'threads', maxWorkers: 1, bail: 1, sequence: { sequencer: AsNamed } },
  },
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
  // What no one adapter loads (the registry) is everybody's.
  const own = adapters.length === 0 ? /^/ : new RegExp(`^adapter (?:${adapters.join('|')}) `);
  const specifications = tests.map((test) =>
    project.createSpecification(join(root, test), test === CONFORMANCE ? { testNamePattern: own } : undefined),
  );
  try {
    writeFileSync(path, source);
    vitest.invalidateFile(path);
    vitest.state.filesMap.clear();
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
    const cases = testModules.flatMap((module) => [...module.children.allTests()]);
    const passed = cases.filter((test) => test.result().state === 'passed').length;
    const module = testModules.find((one) => one.state() === 'failed');
    if (module !== undefined) {
      const failed = [...module.children.allTests('failed')][0]?.fullName ?? 'a file that cannot be loaded';
      return { failed: { test: failed, file: module.relativeModuleId }, tests: passed };
    }
    if (unhandledErrors.length === 0) return { failed: null, tests: passed };
    return { failed: { test: 'an error outside any test', file: '' }, tests: passed };
  } finally {
    writeFileSync(path, original);
    vitest.invalidateFile(path);
  }
}
