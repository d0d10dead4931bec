/** An answer's body: text, bytes, or bytes in the parts they came in, which are megabytes that nobody has to join. */
export type AnswerBody = string | Buffer | readonly Buffer[];

/** In bytes. */
export function bodyLength(body: AnswerBody): number {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return Buffer.byteLength(body);
  return body.reduce((sum, part) => sum + part.length, 0);
}

/** The body in one piece. */
export function joined(body: AnswerBody): string | Buffer {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return body;
  return body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body);
}
