import type { SplitBody } from '../../src/domain/provider.js';

/** The whole text of an adapter's answer, also where it came cut open at its usage. */
export function answerTextOf(body: string | SplitBody | Buffer): string {
  if (typeof body === 'string') return body;
  if (Buffer.isBuffer(body)) return body.toString();
  const usage = body.usage === null ? '' : `"usage":${body.usage}`;
  return Buffer.concat([...body.before, Buffer.from(usage), ...body.after]).toString();
}
