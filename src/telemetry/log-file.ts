import { existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../domain/errors.js';
import type { Sink } from './log-sink.js';

export interface LogFileOptions {
  path: string;
  maxSizeMb: number;
  maxBackups: number;
  maxLength: number;
}

/**
 * A log file that rolls by size: `waybill.log` is a link to the one being written, `waybill.1.log`, `waybill.2.log`, …
 * are the files, the highest number the newest. Numbering goes on after a restart, and the `maxBackups` newest files
 * are kept beside the one being written.
 *
 * @throws UserError when the directory or the file cannot be written
 */
export async function openLogFile(options: LogFileOptions): Promise<Sink> {
  const path = resolve(options.path);
  try {
    makeDirectory(dirname(path));
    // Hundreds of modules, needed only here.
    const { default: roll } = await import('pino-roll');
    const sink: Sink = await roll({
      file: path,
      size: `${options.maxSizeMb}m`,
      limit: { count: options.maxBackups + 1, removeOtherLogFiles: true },
      sync: false,
      contentMode: 'buffer',
      maxLength: options.maxLength,
    });
    await opened(sink);
    link(path, sink);
    sink.on('ready', () => link(path, sink));
    return sink;
  } catch (error) {
    throw new UserError(`cannot write the log file ${options.path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Step by step: Node's `recursive` never returns below /proc and its like, where mkdir says ENOENT. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
}

function opened(sink: Sink): Promise<void> {
  return new Promise((resolveOpen, reject) => {
    sink.once('ready', () => {
      sink.off('error', reject);
      resolveOpen();
    });
    sink.once('error', reject);
  });
}

/** Points `path` at the file being written, in one step, so that a reader never finds it missing. */
function link(path: string, sink: Sink): void {
  const target = currentFile(sink);
  if (target === null) return;
  const before = lstatSync(path, { throwIfNoEntry: false });
  // A file of that name that we did not make is somebody's: the numbered files are written all the same.
  if (before !== undefined && !before.isSymbolicLink()) return;
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`);
  rmSync(fresh, { force: true });
  symlinkSync(basename(target), fresh);
  renameSync(fresh, path);
}

function currentFile(sink: Sink): string | null {
  // sonic-boom keeps the name it has open; its types leave it out.
  const { file } = sink as { file?: unknown };
  return typeof file === 'string' ? file : null;
}
