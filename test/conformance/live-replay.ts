import { expect } from 'vitest';
import type { TaskHelper } from '../../src/domain/provider.js';
import { findAdapter } from '../../src/providers/registry.js';
import { requestOf } from '../live/ask.js';
import { casesOf } from '../live/cases.js';
import { type LiveFixture, targetOf } from '../live/fixture.js';
import { readAnswer } from '../live/read.js';
import { parseExact } from '../support/exact-json.js';

/**
 * An exchange that `npm run test:live` wrote down: the adapter still asks what the provider understood, and still reads
 * in the answer what was read then.
 */
export function replayLive(fixture: LiveFixture): void {
  const { meta, request, response } = fixture;
  const adapter = findAdapter(meta.provider);
  const live = adapter === null ? undefined : casesOf(adapter).find(({ name }) => name === meta.kind);
  if (adapter === null || live === undefined) expect.unreachable(`${meta.provider} has no case "${meta.kind}"`);
  const helper = adapter.tasks[live.task] as TaskHelper;
  const target = targetOf(fixture, adapter);
  const asked = requestOf(live, meta.model);
  expect(helper.makeRoute(asked, target)).toEqual({ method: request.method, url: request.url });
  if (request.body !== null) {
    const payload = helper.preparePayload(asked, target);
    expect(parseExact(payload.body as string)).toEqual(parseExact(request.body));
  }
  const body = Buffer.from(response.body, response.encoding ?? 'utf8');
  const { reading, problems } = readAnswer(helper, asked, target, { ...response, body });
  expect(problems).toEqual([]);
  if (reading === null) expect.unreachable('there is no answer');
  expect(live.check(reading)).toEqual([]);
  expect(reading.usage?.problems ?? []).toEqual([]);
}
