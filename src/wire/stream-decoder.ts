import type { SseEvent } from '../domain/provider.js';
import { EventStreamBrokenError, EventStreamDecoder } from './event-stream.js';
import { SseDecoder, SseEventTooLargeError } from './sse.js';

/** Makes events of bytes. Both throw what `isUnreadable` knows when the stream cannot be read further. */
export interface StreamDecoder {
  push(chunk: Buffer): SseEvent[];
  /** True where the next bytes are the beginning of a server-sent event, and could pass as they come. */
  readonly isBetween: boolean;
  /** What the end of the stream leaves. */
  end(): SseEvent[];
}

/** The decoder a stream's content type asks for: AWS's binary framing, or else server-sent events. */
export function createStreamDecoder(contentType: string | undefined, maxEventBytes?: number): StreamDecoder {
  const isAmazons = contentType?.toLowerCase().startsWith('application/vnd.amazon.eventstream') === true;
  if (isAmazons) return new EventStreamDecoder();
  return new SseDecoder(maxEventBytes === undefined ? {} : { maxEventBytes });
}

/** True for a stream that is broken, not for a mistake of ours. */
export function isUnreadable(error: unknown): error is Error {
  return error instanceof SseEventTooLargeError || error instanceof EventStreamBrokenError;
}
