import {
  closeSync,
  fchmodSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

/** What was appended at once. */
export interface JournalRecord {
  /** Grows from record to record, over all lives of a process' name. */
  seq: number;
  /** Which Waybill wrote it, and so what its text is: 2 for this one. */
  version: 1 | 2;
  text: string;
}

export interface JournalOptions {
  path: string;
  /** Who may read it: a file's permission bits. */
  mode: number;
  /** The number of the last record that was ever appended. */
  lastSeq: number;
  /** Whether a record is to survive the machine too, and not only the process. */
  isSynced: boolean;
}

/** `WBJ<version> <seq, 16 digits> <bytes, 8 hex digits> <CRC-32, 8 hex digits>\n`, then the text in UTF-8. */
const HEAD = /^WBJ([12]) (\d{16}) ([0-9a-f]{8}) ([0-9a-f]{8})\n$/;
const HEAD_BYTES = 40;
const FIRST_ROOM = 64 * 1024;
/** UTF-8 needs no more for a UTF-16 unit. */
const BYTES_PER_UNIT = 3;

/**
 * A file that says what happened before it stands anywhere else. What it holds is read once by somebody else and then
 * written over from the start: that costs a write into pages the kernel has already, and the file stays as small as the
 * longest time between two clearings.
 */
export class Journal {
  readonly #path: string;
  readonly #isSynced: boolean;
  readonly #file: number;
  #seq: number;
  #offset = 0;
  #scratch = Buffer.allocUnsafe(FIRST_ROOM);

  /** Makes the file anew, in place of what is there. @throws what the file system throws */
  constructor({ path, mode, lastSeq, isSynced }: JournalOptions) {
    this.#path = path;
    this.#isSynced = isSynced;
    this.#seq = lastSeq;
    rmSync(path, { force: true });
    this.#file = openSync(path, 'wx', mode);
    fchmodSync(this.#file, mode);
    if (isSynced) syncDirectory(dirname(path));
  }

  /**
   * Returns once the record will survive, with its number.
   * @throws what the file system throws; the record then never was
   */
  append(text: string): number {
    // A number is used up by a record that fails: nobody may take another record for it.
    this.#seq += 1;
    const seq = this.#seq;
    const record = this.#record(seq, text);
    try {
      for (let done = 0; done < record.length; ) {
        done += writeSync(this.#file, record, done, record.length - done, this.#offset + done);
      }
      if (this.#isSynced) fdatasyncSync(this.#file);
    } catch (error) {
      // It may stand there whole.
      ftruncateSync(this.#file, this.#offset);
      throw error;
    }
    this.#offset += record.length;
    return seq;
  }

  /** What was appended stands elsewhere: it may be written over. */
  clear(): void {
    this.#offset = 0;
  }

  close(): void {
    closeSync(this.#file);
  }

  remove(): void {
    this.close();
    rmSync(this.#path, { force: true });
  }

  #record(seq: number, text: string): Buffer {
    const most = HEAD_BYTES + text.length * BYTES_PER_UNIT;
    if (this.#scratch.length < most) this.#scratch = Buffer.allocUnsafe(2 * most);
    const scratch = this.#scratch;
    const size = scratch.write(text, HEAD_BYTES, 'utf8');
    const sum = checksum(scratch.subarray(HEAD_BYTES, HEAD_BYTES + size), seq);
    scratch.write(`WBJ2 ${String(seq).padStart(16, '0')} ${hex(size)} ${hex(sum)}\n`, 0, 'latin1');
    return scratch.subarray(0, HEAD_BYTES + size);
  }
}

/**
 * The records of a file, in order, up to the first that is not whole, or is older than the one before it: a process was
 * killed while it wrote, or what follows was not written over. Empty where there is no file.
 * @throws what the file system throws
 */
export function readJournal(path: string): JournalRecord[] {
  const bytes = readIfThere(path);
  const records: JournalRecord[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const [, version, seq, size, sum] = HEAD.exec(bytes.toString('latin1', at, at + HEAD_BYTES)) ?? [];
    if (seq === undefined) break;
    const end = at + HEAD_BYTES + Number.parseInt(size as string, 16);
    const text = bytes.subarray(at + HEAD_BYTES, end);
    const last = records.at(-1);
    const follows = last === undefined || last.seq < Number(seq);
    if (end > bytes.length || !follows || hex(checksum(text, Number(seq))) !== sum) break;
    records.push({ seq: Number(seq), version: version === '1' ? 1 : 2, text: text.toString('utf8') });
    at = end;
  }
  return records;
}

/** So that the file itself is there after the machine has died. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** Over the number too, so that no record passes for another. */
function checksum(text: Buffer, seq: number): number {
  return crc32(text, seq % 0x1_0000_0000);
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
