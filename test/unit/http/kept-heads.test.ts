import { describe, expect, it } from 'vitest';
import type { RoutedRequest } from '../../../src/domain/dispatch.js';
import { ownText } from '../../../src/domain/own-text.js';
import type { Exchange } from '../../../src/http/exchange.js';
import { routedRequest } from '../../../src/http/routed.js';
import { PlainHeads } from '../../../src/http/short/plain-heads.js';
import { CutNames } from '../../../src/ledger/sqlite/cut-names.js';
import { isInHeap } from '../../support/heap.js';

const REGION = 'a-region-with-a-name-that-is-long';
const CUT = { client: 'c', model: 'm', endpoint: 'e', task: 't', outcome: 'ok' as const };

/** The text of a head holds the client's key, and the beginning of what was asked. */
const key = (nth: number) => () => ['the key', 'of client', nth, process.pid].join("'s-");

function regionOf(nth: number): string {
  const lines = ['Host: h', `Authorization: Bearer ${key(nth)()}`, `x-waybill-region: ${REGION}`, 'Content-Length: 1'];
  const data = Buffer.from(`POST /v1/x HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  const headers = new PlainHeads().read(data, data.length, () => true)?.headers;
  data.fill(0);
  return headers?.['x-waybill-region'] ?? '';
}

describe('what the head of a request said', () => {
  it('is kept as long as a text that was cut out of it', async () => {
    const kept = regionOf(1);
    expect(await isInHeap(key(1))).toBe(true);
    expect(kept).toBe(REGION);
  });

  it('is not kept by a text of its own', async () => {
    const kept = ownText(regionOf(2));
    expect(await isInHeap(key(2))).toBe(false);
    expect(kept).toBe(REGION);
  });

  it('is not kept with the region that was asked for', async () => {
    const exchange = { state: { inferenceId: 'i', receivedAt: 1 }, headers: { 'x-waybill-region': regionOf(3) } };
    const request: RoutedRequest = routedRequest(exchange as unknown as Exchange, {
      ...({ client: { tags: {} }, life: null, ask: null, model: 'm', endpoint: 'e' } as unknown as Parts),
      bring: () => 'unknown',
    });
    exchange.headers['x-waybill-region'] = '';
    expect(await isInHeap(key(3))).toBe(false);
    expect(request.region).toBe(REGION);
  });

  it('is not kept with the name of a cut', async () => {
    const names = new CutNames();
    names.of({ ...CUT, region: regionOf(4) }, null);
    expect(await isInHeap(key(4))).toBe(false);
    expect(names.of({ ...CUT, region: REGION }, null)).toContain(REGION);
  });
});

type Parts = Parameters<typeof routedRequest>[1];
