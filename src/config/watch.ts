import { type BigIntStats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 500;
const SETTLE_MS = 250;
/** File systems tell instants this far apart, and no nearer. */
const CLOCK_TICK_MS = 50;
/** A file that is written to without a pause is looked at all the same after so many looks. */
const MAX_LOOKS = 20;

/** By path: which content a file has, without reading it. */
export type FileStamps = ReadonlyMap<string, string>;

export interface WatchOptions {
  /** The files, each with the stamp it had when it was last read. */
  seen: () => FileStamps;
  /** One of them has another stamp, and has rested. After it, `seen` is to hold what it saw. */
  onChange: () => Promise<void>;
  /** Between two looks. */
  pollMs?: number;
  /** How long the files have to rest before they are read: whoever writes them may be half-way. */
  settleMs?: number;
  /** Default: a timer that keeps no process alive. @throws the signal's reason when it aborts */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface Watch {
  /** Nothing is called from now on. */
  close(): void;
}

/**
 * Looks at files twice a second. Unlike notifications of the file system this sees every way to change one alike: a write
 * in place, a rename over it, a link that is pointed elsewhere, a file that is mounted from a network or into a
 * container; and it is not woken by the ledger that lies in the same folder. It keeps no process alive.
 */
export function watchFiles(options: WatchOptions): Watch {
  const { seen, onChange, pollMs = POLL_MS, settleMs = SETTLE_MS, pause = unreferencedPause } = options;
  const closing = new AbortController();

  async function look(): Promise<void> {
    const before = seen();
    let now = await stampsOf(before.keys());
    if (isSame(before, now)) return;
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      await pause(settleMs, closing.signal);
      const later = await stampsOf(before.keys());
      if (isSame(now, later)) break;
      now = later;
    }
    // Read meanwhile for another reason, or as it was before.
    if (seen() !== before || isSame(before, now)) return;
    if (!closing.signal.aborted) await onChange();
  }

  async function lookAgainAndAgain(): Promise<void> {
    for (;;) {
      await pause(pollMs, closing.signal);
      await look();
    }
  }

  lookAgainAndAgain().catch((error: unknown) => {
    if (!closing.signal.aborted) throw error;
  });
  return { close: () => closing.abort() };
}

function unreferencedPause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { ref: false, signal });
}

/** The stamp of what is neither missing nor a file: a pipe or a terminal, whose content is given once. */
export const NO_REGULAR_FILE = 'no regular file';

/**
 * The stamp of a file that is read next: any write, rename or other target of a link gives another. A file that was
 * written just now gets one that it keeps for this look only, as a second write within the same tick would show nowhere.
 */
export function stampNow(path: string): string {
  try {
    const stats = statSync(path, { bigint: true });
    const isFresh = Math.abs(Date.now() - Number(stats.mtimeMs)) < CLOCK_TICK_MS;
    return isFresh ? `${stampOf(stats)} fresh` : stampOf(stats);
  } catch {
    return MISSING;
  }
}

const MISSING = 'missing';

function stampOf(stats: BigIntStats): string {
  if (!stats.isFile()) return NO_REGULAR_FILE;
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

async function stampsOf(paths: Iterable<string>): Promise<FileStamps> {
  const stamps = new Map<string, string>();
  for (const path of paths) stamps.set(path, await stat(path, { bigint: true }).then(stampOf, () => MISSING));
  return stamps;
}

function isSame(one: FileStamps, other: FileStamps): boolean {
  for (const [path, stamp] of one) {
    if (other.get(path) !== stamp) return false;
  }
  return true;
}
