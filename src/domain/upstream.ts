import type { UpstreamFailure } from './failure.js';
import type { Lifeline } from './lifeline.js';
import type { StatedLimit } from './limit.js';
import type { HeaderFields, Payload, UpstreamRoute } from './provider.js';
import type { UsageReport } from './usage.js';

/** One HTTP call to a provider. */
export interface UpstreamCall {
  route: UpstreamRoute;
  headers: HeaderFields;
  payload: Payload | null;
  connectMs: number;
  /** From sending to the first byte of the answer. */
  firstByteMs: number;
  /** Between two parts of the answer. */
  idleMs: number;
  life: Lifeline;
  /** Told when the request goes out: a connection may have to be made first. */
  limits: { sent(): void };
  /** Removed from whatever the provider says. */
  secrets: readonly string[];
  /** Its key is the client's own: nothing of the call is kept. */
  isBrought?: boolean;
}

/** Takes bytes of an answer. True for more, false for enough; a promise of it is waited for, and the provider then too. */
export type TakePart = (part: Buffer) => boolean | Promise<boolean>;

/** An answer with a 2xx status, read as it comes. Header names are in lower case. */
export interface UpstreamResponse {
  status: number;
  headers: HeaderFields;
  /** Limits the provider stated in its headers. */
  stated: readonly StatedLimit[];
  /**
   * The next bytes; null at the end. Reading slowly slows the provider.
   * @throws UpstreamBrokenError when the connection breaks or nothing comes for `idleMs`
   * @throws the lifeline's reason when it ends
   */
  next(): Promise<Buffer | null>;
  /**
   * Hands over everything that comes until the end, or until `take` wants no more.
   * @throws as `next`, and what `take` throws
   */
  pipe(take: TakePart): Promise<void>;
  /** Everything that is left, decompressed, in the parts it came in; at once where it has come. */
  readAll(maxBytes: number): readonly Buffer[] | Promise<readonly Buffer[]>;
  /** Nobody looks at what was read any more, and nobody will: other answers may be written over it. */
  recycle(): void;
  /** Ends the call; what was not read is lost. */
  abort(): void;
}

export type UpstreamResult =
  | { ok: true; response: UpstreamResponse }
  /** `report`: what the error's own body says was used; null when it says nothing. */
  | { ok: false; failure: UpstreamFailure; report: UsageReport | null; stated: readonly StatedLimit[] };

/** The only way to a provider. */
export interface UpstreamClient {
  /** @throws the lifeline's reason when it ends; every other failure is a value */
  send(call: UpstreamCall): Promise<UpstreamResult>;
  /** Closes connections that are not used, once what runs on them has ended. They open again where they are wanted. */
  closeUnused(isUsed: (origin: string, connectMs: number) => boolean): void;
  close(): Promise<void>;
}

/** An answer that broke after its headers. */
export class UpstreamBrokenError extends Error {
  readonly failure: UpstreamFailure;

  constructor(failure: UpstreamFailure, options?: { cause?: unknown }) {
    super(failure.message, options);
    this.name = 'UpstreamBrokenError';
    this.failure = failure;
  }
}
