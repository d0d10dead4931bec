/**
 * An answer that is no HTTP/1.1, or more than is taken of its head. The codes are those of llhttp and undici, which
 * `failure.ts` reads.
 */
export class ProtocolError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }
}

export function malformedAnswer(code: string, what: string): ProtocolError {
  return new ProtocolError(code, `Response does not match the HTTP/1.1 protocol (${what})`);
}

export function headersOverflow(): ProtocolError {
  return new ProtocolError('UND_ERR_HEADERS_OVERFLOW', 'Headers Overflow Error');
}

/** A connection that ended before its answer did, or that took another turn than an answer. */
export function socketError(message: string): ProtocolError {
  return new ProtocolError('UND_ERR_SOCKET', message);
}

/** What did not come in its time. */
export function timeoutError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
