import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Why dist is not what src says; empty when it is. */
    buildFailure: string;
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STAMP = join(ROOT, 'dist', '.built');
const LOCK = join(ROOT, 'dist', '.building');

/** Builds once per test run, when a source is newer than the last build. A failed build fails the tests that need it. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('buildFailure', await ensureBuilt());
}

async function ensureBuilt(): Promise<string> {
  if (!existsSync(join(ROOT, 'src', 'cli.ts'))) return 'src/cli.ts is missing';
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const release = await lock();
  try {
    const newest = newestChange(join(ROOT, 'src'));
    if (existsSync(STAMP) && statSync(STAMP).mtimeMs > newest) return '';
    const started = new Date();
    const build = spawnSync('npm', ['run', 'build', '--silent'], { cwd: ROOT, encoding: 'utf8' });
    if (build.status !== 0) return `npm run build failed:\n${build.stdout}${build.stderr}`;
    writeFileSync(STAMP, '');
    utimesSync(STAMP, started, started);
    return '';
  } finally {
    release();
  }
}

/** Two test runs in one folder build one after the other. A lock older than two minutes was left by a dead run. */
async function lock(): Promise<() => void> {
  for (;;) {
    try {
      mkdirSync(LOCK);
      return () => rmSync(LOCK, { recursive: true, force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const since = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs;
      if (since !== undefined && Date.now() - since > 120_000) rmSync(LOCK, { recursive: true, force: true });
      await sleep(100);
    }
  }
}

function newestChange(folder: string): number {
  const times = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(
    (name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return Math.max(0, ...times);
}
