import { hash } from 'node:crypto';
import { bodyLength, joined } from '../domain/body.js';
import type { Dispatcher, RoutedAnswer, RoutedRequest, StreamSink } from '../domain/dispatch.js';
import type { Lifeline } from '../domain/lifeline.js';
import { Recording } from '../domain/recording.js';
import { canonicalJson } from '../wire/canonical-json.js';
import { bodyAtNoCost, streamAtNoCost } from '../wire/openai-cost.js';
import { type CachedAnswer, CachedAnswers } from './cached-answers.js';
import { refusedEnd, toWaybillError } from './endings.js';
import type { DispatchParts } from './parts.js';
import { Record } from './record.js';

export interface CacheSettings {
  ttlMs: number;
  maxEntries: number;
  /** How long a request waits for the same one that is under way. */
  maxWaitMs: number;
  /** Of one answer; 4 MiB by default. A larger one is given and not kept. */
  maxAnswerBytes?: number;
  /** Of all answers; 128 MiB by default. */
  maxBytes?: number;
}

/** Tells a client what became of its request here: `hit`, `miss`, or `bypass` where it asked for a new answer. */
const CACHE_HEADER = 'x-waybill-cache';

/** Tasks whose requests and answers are JSON, whole, and the same for the same request. */
const CACHED_TASKS: ReadonlySet<string> = new Set(['chat', 'completion', 'embedding']);

/** A stream is given again in parts of about this many characters. */
const PART_CHARACTERS = 16_384;

/** How a request under way ended, for those that wait for its answer. */
type End =
  | { kind: 'kept'; answer: CachedAnswer }
  /** Its client left: somebody else may try. */
  | { kind: 'left' }
  /** It failed, was cut, or its answer cannot be kept. */
  | { kind: 'nothing' };

interface Flight {
  ended: Promise<End>;
  end: (how: End) => void;
}

/**
 * A dispatcher that gives a client the same answer again for the same request, and sends requests that are the same and
 * under way together once. Entries belong to the configuration that answered: each has a dispatcher of its own.
 */
export function createCachedDispatcher(parts: DispatchParts, settings: CacheSettings, direct: Dispatcher): Dispatcher {
  return new CachedDispatcher(parts, settings, direct);
}

class CachedDispatcher implements Dispatcher {
  readonly #parts: DispatchParts;
  readonly #settings: Required<CacheSettings>;
  readonly #direct: Dispatcher;
  readonly #kept: CachedAnswers;
  readonly #flights = new Map<string, Flight>();

  constructor(parts: DispatchParts, settings: CacheSettings, direct: Dispatcher) {
    this.#parts = parts;
    this.#settings = { maxAnswerBytes: 4 * 1024 * 1024, maxBytes: 128 * 1024 * 1024, ...settings };
    this.#direct = direct;
    this.#kept = new CachedAnswers({ ...this.#settings, clock: parts.clock });
  }

  async dispatch(request: RoutedRequest): Promise<RoutedAnswer> {
    const wish = request.cacheControl?.toLowerCase() ?? '';
    if (!CACHED_TASKS.has(request.ask.task)) return this.#direct.dispatch(request);
    // What was answered by somebody's own key is theirs, and not kept for the next.
    if (/\bno-store\b/.test(wish) || request.brought !== undefined)
      return marked(await this.#direct.dispatch(request), 'bypass');
    const key = keyOf(request);
    const isFresh = /\bno-cache\b|\bmax-age\s*=\s*0\b/.test(wish);
    if (isFresh) return this.#send(request, { key, flight: null, mark: 'bypass' });
    const deadline = this.#parts.clock.now() + this.#settings.maxWaitMs;
    for (;;) {
      const kept = this.#kept.find(key);
      if (kept !== null) return this.#again(request, kept);
      const other = this.#flights.get(key);
      if (other === undefined) return this.#send(request, { key, flight: this.#begin(key), mark: 'miss' });
      const end = await this.#endOf(other, request, deadline);
      if (end.kind === 'kept') return this.#again(request, end.answer);
      // Each for itself: one after the other would be as slow as all together.
      if (end.kind === 'nothing') return this.#send(request, { key, flight: null, mark: 'miss' });
    }
  }

  #begin(key: string): Flight {
    let resolve: (end: End) => void = () => {};
    const ended = new Promise<End>((settle) => {
      resolve = settle;
    });
    const flight: Flight = {
      ended,
      end: (how) => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        resolve(how);
      },
    };
    this.#flights.set(key, flight);
    return flight;
  }

  /**
   * The end of the same request, waited for as long as one's own client does, and no longer than a request may take.
   * @throws WaybillError when this request ends before
   */
  async #endOf(flight: Flight, request: RoutedRequest, deadline: number): Promise<End> {
    const { life } = request;
    const { clock } = this.#parts;
    const stop = new AbortController();
    const onEnd = () => stop.abort(life.reason);
    life.onEnd(onEnd);
    if (life.isEnded) onEnd();
    const tooLong = clock
      .sleep(Math.max(0, deadline - clock.now()), stop.signal)
      .then((): End => ({ kind: 'nothing' }));
    try {
      const end = await Promise.race([flight.ended, tooLong]);
      if (life.isEnded) throw life.reason;
      return end;
    } catch (cause) {
      throw await this.#refusal(request, new Record(this.#parts, request), cause);
    } finally {
      life.offEnd(onEnd);
      stop.abort();
      tooLong.catch(() => {});
    }
  }

  /** Sends a request, and keeps its answer when it is whole. */
  async #send(
    request: RoutedRequest,
    { key, flight, mark }: { key: string; flight: Flight | null; mark: 'miss' | 'bypass' },
  ): Promise<RoutedAnswer> {
    try {
      const answer = await this.#direct.dispatch(request);
      if (answer.kind === 'stream') {
        const recording = new Recording(answer, request.life, this.#settings.maxAnswerBytes);
        const keep = (text: string) => this.#keep(key, request, answer, recording.bytes, () => streamAtNoCost(text));
        return {
          ...marked(answer, mark),
          pump: (sink) => passOn(recording, sink, { keep, flight, life: request.life }),
        };
      }
      const { body } = answer;
      const kept = this.#keep(key, request, answer, bodyLength(body), () => bodyAtNoCost(joined(body).toString()));
      flight?.end(endWith(kept, request.life));
      return marked(answer, mark);
    } catch (error) {
      flight?.end(endWith(null, request.life));
      throw error;
    }
  }

  #keep(
    key: string,
    request: RoutedRequest,
    { kind, origin, headers }: RoutedAnswer,
    bytes: number,
    text: () => string,
  ): CachedAnswer | null {
    if (bytes > this.#settings.maxAnswerBytes) return null;
    const answer: CachedAnswer = {
      kind,
      inferenceId: request.inferenceId,
      provider: origin.provider,
      model: origin.model,
      headers: lasting(headers),
      body: Buffer.from(text()),
    };
    this.#kept.keep(key, answer);
    return answer;
  }

  /** A kept answer: a request of its own in limits and ledger, without a call and without cost. */
  async #again(request: RoutedRequest, kept: CachedAnswer): Promise<RoutedAnswer> {
    const { limiter, policy } = this.#parts;
    const { client, life } = request;
    const record = new Record(this.#parts, request);
    record.answeredFromCache(kept);
    const ask = {
      queue: `client:${client.id}`,
      client: client.id,
      options: [{ option: 'client', scopes: [client.limits] }],
      tokens: 0,
      maxWaitMs: policy.queueMaxWaitMs,
      get signal() {
        return life.signal;
      },
    };
    try {
      const reservation = limiter.tryReserve(ask) ?? (await limiter.reserve(ask));
      reservation.release();
      await record.end({ outcome: 'ok', status: 200, errorCode: null });
    } catch (cause) {
      throw await this.#refusal(request, record, cause);
    }
    return givenAgain(kept, limiter.snapshot(client.limits));
  }

  async #refusal(request: RoutedRequest, record: Record, cause: unknown): Promise<Error> {
    const error = toWaybillError(cause);
    await record.endQuietly(refusedEnd(cause, error, false));
    const limits = this.#parts.limiter.snapshot(request.client.limits);
    return Object.assign(error, { origin: { provider: null, model: null, attempts: 0, limits } });
  }
}

/** Passes a stream to its client, and keeps it before its end mark goes out. */
async function passOn(
  recording: Recording,
  sink: StreamSink,
  { keep, flight, life }: { keep: (text: string) => CachedAnswer | null; flight: Flight | null; life: Lifeline },
): Promise<void> {
  try {
    await recording.passTo(sink, (text) => (flight === null ? void keep(text) : flight.end(endWith(keep(text), life))));
  } finally {
    flight?.end(endWith(null, life));
  }
}

function endWith(kept: CachedAnswer | null, life: Lifeline): End {
  if (kept !== null) return { kind: 'kept', answer: kept };
  return { kind: life.clientGone ? 'left' : 'nothing' };
}

function givenAgain(kept: CachedAnswer, limits: RoutedAnswer['origin']['limits']): RoutedAnswer {
  const { kind, provider, model, body } = kept;
  const origin = { provider, model, attempts: 0, limits };
  const headers = { ...kept.headers, [CACHE_HEADER]: 'hit' };
  if (kind === 'body') return { kind, origin, headers, body, costNanoUsd: 0n };
  return {
    kind,
    origin,
    headers: { ...headers, 'x-waybill-cost-nano-usd': '0' },
    pump: (sink) => replay(body.toString(), sink),
  };
}

/** Whole events at a time, as fast as the client reads. */
async function replay(text: string, sink: StreamSink): Promise<void> {
  for (let start = 0; start < text.length; ) {
    const found = text.indexOf('\n\n', start + PART_CHARACTERS);
    const end = found === -1 ? text.length : found + 2;
    const wait = sink.write(text.slice(start, end));
    if (wait !== undefined) await wait;
    start = end;
  }
}

/**
 * Who asked for what. What a client may use is part of it, so that a right that was taken away takes the answers along;
 * tags are not, for they change no answer.
 */
function keyOf(request: RoutedRequest): string {
  const { client, endpoint, model, region, ask } = request;
  const { allowedProviders, allowedModels, region: ownRegion } = client.access;
  const asker = [client.id, allowedProviders, allowedModels, ownRegion];
  const head = JSON.stringify([asker, endpoint, model, region, ask.task, ask.stream, ask.includeUsage]);
  return hash('sha256', `${head}\n${canonicalJson(ask.body.text)}`, 'base64url');
}

function marked<Answer extends RoutedAnswer>(answer: Answer, mark: 'miss' | 'bypass'): Answer {
  return { ...answer, headers: { ...answer.headers, [CACHE_HEADER]: mark } };
}

/** Headers that say something of the answer itself, and not of the moment it came. */
function lasting(headers: RoutedAnswer['headers']): RoutedAnswer['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('openai-')));
}
