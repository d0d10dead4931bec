import { describe, expect, it } from 'vitest';
import { PlainHeads } from '../../../src/http/short/plain-heads.js';
import { isOfOneKind } from '../../support/object-kinds.js';

const isPath = () => true;

function head(lines: readonly string[]): Buffer {
  return Buffer.from(`POST /v1/x HTTP/1.1\r\n${['Host: h', ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
}

describe('what is read of heads', () => {
  it('is of one kind, whatever they say, on whichever connection', () => {
    const sent = [
      ['Authorization: Bearer a', 'Content-Length: 1'],
      ['Content-Length: 2', 'x-api-key: b', 'x-waybill-tags: c=d'],
      ['Content-Length: 3', 'Idempotency-Key: e', 'x-waybill-provider-key: f=g', 'Cache-Control: no-cache'],
    ].map(head);
    const read = sent.flatMap((data) => {
      const heads = new PlainHeads();
      // The first of a connection is read by itself, those behind it are held against it.
      return [1, 2, 3, 4].map(() => heads.read(data, data.length, isPath)?.headers);
    });
    const [first] = read;
    expect(read.map((headers) => isOfOneKind(headers ?? {}, first ?? {}))).toEqual(read.map(() => true));
    expect(isOfOneKind({ ...first, other: 1 }, first ?? {})).toBe(false);
  });
});
