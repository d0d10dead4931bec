import { systemClock } from '../../src/composition/clock.js';
import { Lifeline } from '../../src/domain/lifeline.js';
import type { HeaderFields, NextStep, UpstreamRoute } from '../../src/domain/provider.js';
import type { TaskRequest } from '../../src/domain/task.js';
import type { UpstreamClient } from '../../src/domain/upstream.js';
import { type LiveExchange, send } from './ask.js';
import type { LiveEntry } from './entry.js';
import { type Followed, follow, type NextAsking, NotFollowedError } from './follow.js';
import type { Asked } from './read.js';

/** What a cancel may take. */
const CANCEL_MS = 3_000;

/**
 * Follows what an exchange began to its end, and adds every asking to the exchange. What has not ended within `mostMs`, or
 * cannot be followed, is cancelled at the provider. An asking that fails is not made again: no second try hides it. The
 * key goes only where the prediction was made.
 */
export async function followLive(
  entry: LiveEntry,
  exchange: LiveExchange,
  request: TaskRequest,
  client: UpstreamClient,
  mostMs: number,
): Promise<Followed> {
  const { adapter, key, secrets } = entry;
  const { target } = exchange;
  const asked: Asked = { helper: adapter.tasks[exchange.case.task] as Asked['helper'], request, target };
  const isOwn = (url: string) => URL.canParse(url) && new URL(url).origin === new URL(exchange.request.url).origin;

  function headersFor(step: NextStep | null): HeaderFields {
    const accept = step?.stream === true ? 'text/event-stream' : 'application/json';
    if (step?.keyless === true) return { accept };
    return { accept, ...(key.reveal() === '' ? {} : adapter.authenticate(key)), ...target.headers };
  }

  async function askNext(
    { route, afterMs, step, isAfterwards }: NextAsking,
    life: Lifeline,
  ): Promise<LiveExchange['answer']> {
    const isKeyless = !isAfterwards && step.keyless === true;
    if (!isKeyless && !isOwn(route.url)) {
      throw new NotFollowedError('the prediction leads to another host, where the key is not sent');
    }
    if (afterMs > 0) await systemClock.sleep(afterMs, life.signal);
    const headers = headersFor(isAfterwards ? null : step);
    const outcome = await send(entry, target, client, { route, headers, payload: null, life, secrets });
    if (!outcome.ok) throw new NotFollowedError(`the prediction could not be followed: ${outcome.message}`);
    exchange.steps.push({ request: { ...route, headers }, answer: outcome.answer, isKeyless });
    return outcome.answer;
  }

  async function cancel(route: UpstreamRoute): Promise<string> {
    if (!isOwn(route.url)) return 'it is not cancelled: that leads to another host';
    const end = new NotFollowedError(`no answer within ${CANCEL_MS / 1_000} s`);
    try {
      const outcome = await within(CANCEL_MS, end, (life) =>
        send(entry, target, client, { route, headers: headersFor(null), payload: null, life, secrets }),
      );
      return outcome.ok ? 'it was cancelled' : `it could not be cancelled, and may go on and cost: ${outcome.message}`;
    } catch (error) {
      if (error !== end) throw error;
      return `it could not be cancelled, and may go on and cost: ${end.message}`;
    }
  }

  const end = new NotFollowedError(`the prediction did not end within ${mostMs / 1_000} s`);
  const followed = await within(mostMs, end, (life) =>
    follow(asked, exchange.answer, (asking) => askNext(asking, life)),
  );
  const route = followed.unended?.cancel ?? null;
  return route === null ? followed : { ...followed, problems: [...followed.problems, await cancel(route)] };
}

/** Work that ends with `reason` when it takes longer. */
async function within<T>(ms: number, reason: Error, work: (life: Lifeline) => Promise<T>): Promise<T> {
  const life = new Lifeline();
  const timer = setTimeout(() => life.end(reason), ms);
  try {
    return await work(life);
  } finally {
    clearTimeout(timer);
  }
}
