import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UserError } from '../domain/errors.js';

/**
 * `waybill bench`: runs the bench of a checkout (`bench/main.ts`) on the built program, and passes everything on. The
 * bench is no part of the installed package: it needs the development dependencies.
 *
 * @param args what stands behind `bench` on the command line
 * @returns the bench's exit code: 1 when a goal is missed, 2 when it could not be run
 * @throws UserError where there is no checkout around the program
 */
export async function benchCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const script = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
  if (!existsSync(script)) {
    throw new UserError(
      'The bench runs from a checkout of the project only: clone it, then `npm ci && npm run bench`.',
    );
  }
  const child = spawn(process.execPath, ['--import', tsxLoader(), script, ...args], { stdio: 'inherit' });
  // The bench stops what it started before it goes.
  const stop = () => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 2));
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function tsxLoader(): string {
  try {
    return import.meta.resolve('tsx');
  } catch (cause) {
    throw new UserError('The bench needs the development dependencies: run `npm ci` in the checkout.', { cause });
  }
}
