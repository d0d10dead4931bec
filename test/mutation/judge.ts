import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutant } from './mutants.js';
import type { Related } from './related.js';
import type { Answer, Order } from './runner.js';

/** By which test a mutant was found, or that none did. */
export type Verdict = { killed: true; by: string } | { killed: false };

const START_MS = 120_000;
/** Tests of one file take seconds: one that takes this long goes round for ever. */
const RUN_MS = 60_000;

/** Runs the tests over one mutant after another, in one process that is replaced when it hangs. */
export class Judge {
  readonly #root: string;
  #child: ChildProcess | null = null;
  /** The file whose test missed the last line: likely the one that misses the next. */
  #lastFile = '';

  /** `root` is the copy in which files are changed. */
  constructor(root: string) {
    this.#root = root;
  }

  /** That every test passes with the files as they are. */
  async checkUntouched(related: Related): Promise<void> {
    const file = 'package.json';
    const source = readFileSync(join(this.#root, file), 'utf8');
    const answer = await this.#ask({ file, source, ...related });
    if (answer === null) throw new Error(`the tests did not end in ${RUN_MS / 1000} s`);
    if (answer.failed !== null) throw new Error(`nothing is changed, and a test fails: ${answer.failed.test}`);
  }

  async judge({ file, source }: Mutant, related: Related): Promise<Verdict> {
    const answer = await this.#ask({ file, source, ...related });
    if (answer === null) return { killed: true, by: 'the time limit' };
    if (answer.failed === null) return { killed: false };
    this.#lastFile = answer.failed.file;
    return { killed: true, by: answer.failed.test };
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = null;
  }

  /** Null when there was no answer in time. */
  async #ask(order: Order): Promise<Exclude<Answer, { error: string }> | null> {
    this.#child ??= await start(this.#root);
    const original = readFileSync(join(this.#root, order.file), 'utf8');
    const tests = order.tests.toSorted((a, b) => Number(b === this.#lastFile) - Number(a === this.#lastFile));
    this.#child.send({ ...order, tests } satisfies Order);
    const answer = await nextMessage(this.#child, RUN_MS);
    if (answer === null) {
      this.close();
      writeFileSync(join(this.#root, order.file), original);
      return null;
    }
    if ('error' in answer) throw new Error(answer.error);
    // A run that was lost must not pass for one in which nothing failed.
    if (answer.failed === null && answer.tests === 0) throw new Error(`no test was run for ${order.file}`);
    return answer;
  }
}

async function start(root: string): Promise<ChildProcess> {
  const child = fork(join(root, 'test/mutation/runner.ts'), [], {
    cwd: root,
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  if ((await nextMessage(child, START_MS)) === null) throw new Error('the test runner does not start');
  return child;
}

async function nextMessage(child: ChildProcess, timeoutMs: number): Promise<Answer | null> {
  const late = AbortSignal.timeout(timeoutMs);
  const done = new AbortController();
  const signal = AbortSignal.any([late, done.signal]);
  const ended = once(child, 'exit', { signal }).then(([code]): never => {
    throw new Error(`the test runner ended by itself (${code})`);
  });
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [Answer];
    return message;
  } catch (error) {
    if (late.aborted) return null;
    throw error;
  } finally {
    // Takes the listeners away; that the other of the two is rejected by it is nobody's business.
    ended.catch(() => {});
    done.abort();
  }
}
