import { createHash } from 'node:crypto';
import { joined } from '../domain/body.js';
import type { RoutedAnswer, RoutedRequest, StreamSink } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import {
  type Idempotency,
  type IdempotencyStore,
  type IdempotentAsk,
  KEPT_MS,
  type KeptAnswer,
} from '../domain/idempotency.js';
import { type Lifeline, ShutdownError } from '../domain/lifeline.js';
import type { Clock, Logger } from '../domain/ports.js';
import { Recording } from '../domain/recording.js';

/** The endpoint whose path names the model and the task. */
const INFERENCE = '/api/inference';

/** A larger answer is given, and not kept. */
const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

export interface IdempotencyOptions {
  store: IdempotencyStore;
  clock: Clock;
  logger: Logger;
  /** How long a repetition waits for the first request to end. */
  waitMs: () => number;
  /** Of one answer; 4 MiB by default. */
  maxBytes?: number;
}

/** How a first request ended, for those who wait for it. */
type End =
  | { kind: 'answer'; kept: KeptAnswer }
  | { kind: 'error'; error: WaybillError }
  /** There is nothing to pass on: its client left, or the answer was too large to hold. */
  | { kind: 'nothing' };

interface Running {
  inferenceId: string;
  requestHash: string;
  ended: Promise<End>;
  end: (end: End) => void;
}

/**
 * Repetitions by key: kept answers in the store, first requests under way in memory. One thread decides, so that of any
 * number of repetitions at once exactly one is sent.
 */
export function createIdempotency(options: IdempotencyOptions): Idempotency {
  return new KeyedAnswers(options);
}

class KeyedAnswers implements Idempotency {
  readonly #options: IdempotencyOptions;
  readonly #maxBytes: number;
  readonly #running = new Map<string, Running>();

  constructor(options: IdempotencyOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  async answer(ask: IdempotentAsk): Promise<RoutedAnswer> {
    const { request, key, named } = ask;
    const slot = JSON.stringify([request.client.id, key]);
    const requestHash = hashOf(request);
    for (;;) {
      const first = this.#running.get(slot);
      const known = first ?? this.#find(request.client.id, key);
      if (known === null) return this.#lead(ask, slot, requestHash);
      if (known.requestHash !== requestHash) throw conflict(key);
      named(known.inferenceId);
      if (first === undefined) return this.#again(known as KeptAnswer);
      const end = await this.#endOf(first, request.life);
      if (end.kind === 'error') throw end.error;
      if (end.kind === 'answer') return this.#again(end.kept);
    }
  }

  #find(client: string, key: string): KeptAnswer | null {
    const { store, clock } = this.#options;
    return store.find(client, key, clock.now() - KEPT_MS);
  }

  #again(kept: KeptAnswer): RoutedAnswer {
    const { inferenceId, client } = kept;
    this.#options.logger.info({ inferenceId, client }, 'answered again for its idempotency key');
    return toAnswer(kept);
  }

  /** Waits for the end of the first request, bounded by one's own life and by time. */
  async #endOf(first: Running, life: Lifeline): Promise<End> {
    const { clock, waitMs } = this.#options;
    const stop = new AbortController();
    const onEnd = () => stop.abort(life.reason);
    life.onEnd(onEnd);
    if (life.isEnded) onEnd();
    const ms = waitMs();
    const tooLong = clock.sleep(ms, stop.signal).then(() => {
      throw new WaybillError('upstream_timeout', {
        message: `The first request with this Idempotency-Key has not ended within ${ms} ms.`,
      });
    });
    try {
      return await Promise.race([first.ended, tooLong]);
    } catch (cause) {
      throw cause instanceof WaybillError ? cause : endedWhileWaiting(cause);
    } finally {
      life.offEnd(onEnd);
      stop.abort();
    }
  }

  /** Nobody was before: sends the request, and tells whoever comes meanwhile how it ended. */
  async #lead(ask: IdempotentAsk, slot: string, requestHash: string): Promise<RoutedAnswer> {
    const { request, key, named } = ask;
    const running = this.#begin(slot, request.inferenceId, requestHash);
    named(request.inferenceId);
    try {
      const answer = await ask.dispatch();
      const keptOf = (body: string | Buffer): KeptAnswer => ({
        client: request.client.id,
        key,
        requestHash,
        inferenceId: request.inferenceId,
        keptAt: this.#options.clock.now(),
        kind: answer.kind,
        provider: answer.origin.provider,
        model: answer.origin.model,
        attempts: answer.origin.attempts,
        headers: answer.headers,
        body,
        costNanoUsd: answer.kind === 'body' ? answer.costNanoUsd : null,
        ...(answer.kind === 'body' && answer.contentType !== undefined ? { contentType: answer.contentType } : {}),
      });
      if (answer.kind === 'stream') {
        const recording = new Recording(answer, request.life, this.#maxBytes);
        return { ...answer, pump: (sink) => this.#passOn(recording, sink, keptOf, running) };
      }
      const body = joined(answer.body);
      const kept = keptOf(answer.contentType === undefined ? body.toString() : body);
      this.#keep(kept, Buffer.byteLength(body));
      running.end({ kind: 'answer', kept });
      return answer;
    } catch (error) {
      const isTold = error instanceof WaybillError && !request.life.clientGone;
      running.end(isTold ? { kind: 'error', error } : { kind: 'nothing' });
      throw error;
    }
  }

  #begin(slot: string, inferenceId: string, requestHash: string): Running {
    let resolve: (end: End) => void = () => {};
    const ended = new Promise<End>((settle) => {
      resolve = settle;
    });
    const end = (how: End) => {
      this.#running.delete(slot);
      resolve(how);
    };
    const running = { inferenceId, requestHash, ended, end };
    this.#running.set(slot, running);
    return running;
  }

  /** Passes a stream to its client; it is kept before its end mark goes out. */
  async #passOn(
    recording: Recording,
    sink: StreamSink,
    keptOf: (body: string) => KeptAnswer,
    running: Running,
  ): Promise<void> {
    try {
      await recording.passTo(sink, (body) => this.#keep(keptOf(body), recording.bytes));
    } finally {
      const told = recording.told();
      running.end(told === null ? { kind: 'nothing' } : { kind: 'answer', kept: keptOf(told) });
    }
  }

  /** What cannot be kept is given all the same: it is charged, and it is right. */
  #keep(kept: KeptAnswer, bytes: number): void {
    const { store, logger } = this.#options;
    const maxBytes = this.#maxBytes;
    const { inferenceId, client } = kept;
    if (bytes > maxBytes) {
      const fields = { inferenceId, client, bytes, maxBytes };
      logger.warn(fields, 'too large to be kept for its idempotency key; a repetition is sent again');
      return;
    }
    try {
      store.keep(kept);
    } catch (err) {
      const fields = { inferenceId, client, err };
      logger.warn(fields, 'could not be kept for its idempotency key; a repetition is sent again');
    }
  }
}

/** What a kept answer says of limits would be of yesterday: it says nothing of them. */
function toAnswer(kept: KeptAnswer): RoutedAnswer {
  const { provider, model, attempts, headers, body, contentType, costNanoUsd } = kept;
  const origin = { provider, model, attempts, limits: [] };
  if (kept.kind === 'body') {
    const type = contentType === undefined ? {} : { contentType };
    return { kind: 'body', origin, headers, body, ...type, costNanoUsd };
  }
  return {
    kind: 'stream',
    origin,
    headers,
    pump: async (sink) => {
      await sink.write(body.toString());
    },
  };
}

/** The body's text is its bytes: what is not UTF-8 was refused. A request without a body of JSON has them beside it. */
function hashOf({ endpoint, model, ask, brought }: RoutedRequest): string {
  const hash = createHash('sha256').update(`${endpoint}\n`);
  if (endpoint === INFERENCE) hash.update(`${JSON.stringify([model, ask.task])}\n`);
  hash.update(ask.body.text);
  const { carried } = ask;
  if (carried?.kind === 'bytes') hash.update(`\n${carried.contentType}\n`).update(carried.bytes);
  // With a key a form is read whole before it is sent.
  for (const step of carried?.kind === 'form' ? (carried.whole ?? []) : []) {
    if (step.kind === 'bytes') hash.update(step.bytes);
    else hash.update(`\n${JSON.stringify(step)}\n`);
  }
  // For whom, never with which: a request that is paid by its caller is another than one that is not.
  if (brought !== undefined) hash.update(`\nkey for ${brought.providerId}\n`);
  return hash.digest('base64url');
}

function conflict(key: string): WaybillError {
  return new WaybillError('conflict', {
    message: `The Idempotency-Key \`${key}\` came with another request within the last 24 hours.`,
    param: 'Idempotency-Key',
    shouldRetry: false,
  });
}

function endedWhileWaiting(cause: unknown): WaybillError {
  if (cause instanceof ShutdownError) {
    return new WaybillError('shutting_down', { message: 'The router is stopping.', retryAfterMs: 1_000 });
  }
  return new WaybillError('internal_error', {
    message: cause instanceof Error ? cause.message : 'Something went wrong inside the router.',
    cause,
  });
}
