import type { CarriedForm, FormStep } from '../domain/task.js';

/**
 * A form that comes from a client. What was read is kept, so that it can be sent again, up to a bound; beyond it only what
 * is on its way is held, and the form is spent once a part of it is gone. With `readWhole` there is no bound but the
 * body's own limit.
 */
export class SpooledForm implements CarriedForm {
  readonly kind = 'form';
  readonly boundary: string;
  audioMs: number | null = null;
  readonly #source: AsyncIterator<FormStep>;
  readonly #mostBytes: number;
  #keptBytes: number;
  /** Steps from the `#dropped`-th on. */
  #kept: FormStep[] = [];
  #dropped = 0;
  #file: Extract<FormStep, { kind: 'file' }> | null = null;
  #bytes = 0;
  #fileBytes = 0;
  #hasEnded = false;
  #isBeingSent = false;
  #pulling: Promise<void> | null = null;

  constructor(parts: {
    boundary: string;
    source: AsyncIterator<FormStep>;
    /** How much is kept of a form that is passed along. */
    keptBytes: number;
    /** The most the whole body can be. */
    mostBytes: number;
  }) {
    this.boundary = parts.boundary;
    this.#source = parts.source;
    this.#keptBytes = parts.keptBytes;
    this.#mostBytes = parts.mostBytes;
  }

  get isSpent(): boolean {
    return this.#dropped > 0;
  }

  get whole(): readonly FormStep[] | null {
    return this.#hasEnded && this.#dropped === 0 ? this.#kept : null;
  }

  get file(): { filename: string; contentType: string } | null {
    return this.#file;
  }

  fileBytes(): number {
    return this.#hasEnded || this.#isBeingSent ? this.#fileBytes : this.#mostBytes;
  }

  /** Reads up to the first file's head, or the end: the fields that came before. */
  async head(): Promise<readonly FormStep[]> {
    while (!this.#hasEnded && !this.#kept.some((step) => step.kind === 'file')) await this.#pull();
    return this.#kept;
  }

  async readWhole(): Promise<readonly FormStep[]> {
    this.#keptBytes = Number.POSITIVE_INFINITY;
    while (!this.#hasEnded) await this.#pull();
    return this.#kept;
  }

  async *read(): AsyncGenerator<FormStep> {
    if (this.#dropped > 0) throw new Error('a form that is spent cannot be read again');
    this.#isBeingSent = true;
    for (let at = 0; ; at += 1) {
      while (at - this.#dropped >= this.#kept.length) {
        if (this.#hasEnded) return;
        await this.#pull();
      }
      yield this.#kept[at - this.#dropped] as FormStep;
      if (this.#bytes <= this.#keptBytes) continue;
      this.#kept.splice(0, at + 1 - this.#dropped);
      this.#dropped = at + 1;
    }
  }

  /** A reader that was left behind may still wait for the next step: whoever comes after it waits for the same. */
  #pull(): Promise<void> {
    this.#pulling ??= this.#take().finally(() => {
      this.#pulling = null;
    });
    return this.#pulling;
  }

  async #take(): Promise<void> {
    const { value, done } = await this.#source.next();
    if (done === true) {
      this.#hasEnded = true;
      return;
    }
    this.#kept.push(value);
    if (value.kind === 'file') this.#file ??= value;
    const size = value.kind === 'bytes' ? value.bytes.length : value.kind === 'field' ? value.value.length : 0;
    this.#bytes += size;
    if (value.kind === 'bytes') this.#fileBytes += size;
  }
}
