import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import type { EventStreamCodec } from '@smithy/eventstream-codec';
import type { SseEvent } from '../domain/provider.js';

/** Larger than AWS sends: 16 MiB of payload, 128 KiB of headers. */
const DEFAULT_MAX_MESSAGE_BYTES = 17 * 1024 * 1024;
/** Total length, headers' length, checksum of both. */
const PRELUDE_BYTES = 12;
/** A prelude and the checksum of the whole. */
const MIN_MESSAGE_BYTES = 16;

/** Required only now: most daemons see no such stream. */
function createCodec(): EventStreamCodec {
  const require = createRequire(import.meta.url);
  const { EventStreamCodec: Codec } =
    require('@smithy/eventstream-codec') as typeof import('@smithy/eventstream-codec');
  return new Codec(
    (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
    (text) => Buffer.from(text, 'utf8'),
  );
}

/** A stream that is no such stream, not any more, or was cut inside a message. It cannot be read further. */
export class EventStreamBrokenError extends Error {
  constructor(why: string, options?: { cause?: unknown }) {
    super(`the event stream is broken: ${why}`, options);
    this.name = 'EventStreamBrokenError';
  }
}

/**
 * Reads `application/vnd.amazon.eventstream` from bytes as they come, however they are split; both checksums of every
 * message are checked. A message becomes an event with the name of its `:event-type` or, for an exception, its
 * `:exception-type`, and its payload as data; an error without a type becomes `error` with `{code, message}`.
 * Source: https://smithy.io/2.0/aws/amazon-eventstream.html
 */
export class EventStreamDecoder {
  readonly #codec = createCodec();
  readonly #maxMessageBytes: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  /** So many bytes are needed before there is anything to do. */
  #needed = PRELUDE_BYTES;
  #broken: EventStreamBrokenError | null = null;

  constructor(options: { maxMessageBytes?: number } = {}) {
    this.#maxMessageBytes = options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
  }

  /** Nothing passes as it comes: the framing is another. */
  readonly isBetween = false;

  /**
   * The events that are complete with these bytes; those before a fault are given, and the fault comes next.
   * @throws EventStreamBrokenError
   */
  push(chunk: Buffer): SseEvent[] {
    if (this.#broken !== null) throw this.#broken;
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    const events: SseEvent[] = [];
    try {
      while (this.#bytes >= this.#needed) {
        const event = this.#advance();
        if (event !== null) events.push(event);
      }
    } catch (error) {
      if (!(error instanceof EventStreamBrokenError)) throw error;
      this.#broken = error;
      if (events.length === 0) throw error;
    }
    return events;
  }

  /**
   * Nothing is left to give at the end of a whole stream.
   * @throws EventStreamBrokenError for one that was cut
   */
  end(): SseEvent[] {
    if (this.#broken !== null) throw this.#broken;
    if (this.#bytes > 0) throw new EventStreamBrokenError('it ended inside a message');
    return [];
  }

  /** Reads a prelude, and the whole message once it is there. */
  #advance(): SseEvent | null {
    const buffer = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#bytes);
    const length = this.#lengthOf(buffer);
    if (buffer.length < length) {
      this.#parts = [buffer];
      this.#needed = length;
      return null;
    }
    const rest = buffer.subarray(length);
    this.#parts = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#needed = PRELUDE_BYTES;
    return decodeMessage(this.#codec, buffer.subarray(0, length));
  }

  /** A length is believed only with its checksum: a wrong one would be waited for in vain. */
  #lengthOf(buffer: Buffer): number {
    if (crc32(buffer.subarray(0, 8)) !== buffer.readUInt32BE(8)) {
      throw new EventStreamBrokenError('the checksum of a message’s head does not match');
    }
    const length = buffer.readUInt32BE(0);
    if (length < MIN_MESSAGE_BYTES || length > this.#maxMessageBytes) {
      throw new EventStreamBrokenError(`a message of ${length} bytes`);
    }
    return length;
  }
}

function decodeMessage(codec: EventStreamCodec, bytes: Buffer): SseEvent {
  let message: ReturnType<EventStreamCodec['decode']>;
  try {
    message = codec.decode(bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EventStreamBrokenError(why, { cause: error });
  }
  const header = (name: string) => {
    const value = message.headers[name]?.value;
    return typeof value === 'string' ? value : null;
  };
  if (header(':message-type') === 'error') {
    const told = { code: header(':error-code'), message: header(':error-message') };
    return { name: 'error', data: JSON.stringify(told) };
  }
  const { buffer, byteOffset, byteLength } = message.body;
  const data = Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
  return { name: header(':exception-type') ?? header(':event-type'), data };
}
