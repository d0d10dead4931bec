import { expect } from 'vitest';
import type { TaskHelper } from '../../src/domain/provider.js';
import { findAdapter } from '../../src/providers/registry.js';
import { requestOf } from '../live/ask.js';
import { casesOf } from '../live/cases.js';
import { type LiveFixture, rawAnswerOf, targetOf } from '../live/fixture.js';
import { follow } from '../live/follow.js';
import { parseExact } from '../support/exact-json.js';

/**
 * An exchange that `npm run test:live` wrote down: the adapter still asks what the provider understood, and still reads
 * in the answer what was read then. A prediction is followed through the steps of the fixture, without the waits.
 */
export async function replayLive(fixture: LiveFixture): Promise<void> {
  const { meta, request, response, steps = [] } = fixture;
  const adapter = findAdapter(meta.provider);
  const live = adapter === null ? undefined : casesOf(adapter).find(({ name }) => name === meta.kind);
  if (adapter === null || live === undefined) expect.unreachable(`${meta.provider} has no case "${meta.kind}"`);
  const helper = adapter.tasks[live.task] as TaskHelper;
  const target = targetOf(fixture, adapter);
  const asked = requestOf(live, meta.model);
  const left = [...steps];
  expect(helper.makeRoute(asked, target)).toEqual({ method: request.method, url: request.url });
  if (request.body !== null) {
    const payload = helper.preparePayload(asked, target);
    expect(parseExact(payload.body as string)).toEqual(parseExact(request.body));
  }
  const parts = { helper, request: asked, target };
  const { reading, problems } = await follow(parts, rawAnswerOf(response), async ({ route, step }) => {
    const given = left.shift();
    if (given === undefined) expect.unreachable(`the fixture ends before the prediction ${step.id} does`);
    expect(route).toEqual({ method: given.request.method, url: given.request.url });
    return rawAnswerOf(given.response);
  });
  expect(problems).toEqual([]);
  expect(left, 'steps that nobody asks for').toEqual([]);
  if (reading === null) expect.unreachable('there is no answer');
  expect(live.check(reading)).toEqual([]);
  expect(reading.usage?.problems ?? []).toEqual([]);
}
