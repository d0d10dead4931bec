import type { Client } from '../domain/client.js';
import type { Dispatcher, RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { Idempotency } from '../domain/idempotency.js';
import type { Lifeline } from '../domain/lifeline.js';
import { ownText } from '../domain/own-text.js';
import type { TaskRequest } from '../domain/task.js';
import { type BringingParts, broughtKey } from './brought-key.js';
import type { Exchange, RequestHead } from './exchange.js';
import { dispatchOnce, idempotencyKey } from './idempotent.js';
import { type CallerParts, callerOf } from './local.js';
import type { OpeningParts, OpenRequest } from './opened-request.js';
import { RelayReply } from './relay-reply.js';
import { replyWithBody, StreamReply } from './reply.js';
import { unlessCut } from './shutting-down.js';

const MAX_TAGS = 16;
const MAX_TAG_CHARACTERS = 128;
/** Longer than any model's name: it is compared with every other, and kept in the ledger. */
const MAX_MODEL_CHARACTERS = 512;

/** What the routed endpoints need; of the configuration that is current when the request arrives. */
export interface RoutedParts extends CallerParts, OpeningParts, BringingParts {
  dispatcher: Dispatcher;
  idempotency: Idempotency;
  /** Requests under way, so that a stop can wait for them and cut them. */
  underWay: UnderWay;
}

/** Requests that have not ended. */
export interface UnderWay {
  /** @throws WaybillError shutting_down while draining */
  enter(): Lifeline;
  leave(life: Lifeline): void;
}

/** One routed endpoint: identify, read, validate, dispatch, reply. */
export function routedEndpoint<E extends Exchange>(open: OpenRequest<E>, endpoint: string, parts: () => RoutedParts) {
  return async (exchange: E): Promise<void> => {
    const current = parts();
    const { dispatcher, idempotency, underWay } = current;
    const life = underWay.enter();
    let isHandled = false;
    let isClosed = false;
    // A stop waits until the answer is written out too, which is later than the handler's end.
    const leaveWhenOver = () => {
      if (isHandled && isClosed) underWay.leave(life);
    };
    exchange.onClose(() => {
      isClosed = true;
      life.clientLeft();
      leaveWhenOver();
    });
    try {
      const client = callerOf(exchange, current);
      const key = idempotencyKey(exchange);
      const opened = open(exchange, current);
      const { ask, model } = opened instanceof Promise ? await unlessCut(life, opened) : opened;
      const request = routedRequest(exchange, { client, ask, model, endpoint, life, bring: current.bring });
      const way = key === null ? dispatcher : dispatchOnce(exchange, key, { dispatcher, idempotency });
      if (ask.stream) await replyStreaming(exchange, way, request);
      else {
        const answer = await way.dispatch(request);
        if (answer.kind === 'body') replyWithBody(exchange, answer);
        else await replyInParts(exchange, answer);
      }
    } finally {
      isHandled = true;
      life.over();
      leaveWhenOver();
    }
  };
}

/** An answer may turn out to come in parts: a file, or a transcription whose form asks for a stream at its end. */
function replyInParts(exchange: Exchange, answer: Extract<RoutedAnswer, { kind: 'stream' }>): Promise<void> {
  const { contentType } = answer;
  return (contentType === undefined ? new StreamReply(exchange) : new RelayReply(exchange, contentType)).send(answer);
}

async function replyStreaming(exchange: Exchange, dispatcher: Dispatcher, request: RoutedRequest): Promise<void> {
  const reply = new StreamReply(exchange);
  try {
    const answer = await dispatcher.dispatch(request);
    if (answer.kind !== 'stream') throw new Error('a whole answer came where a stream was asked for');
    await reply.send(answer);
  } catch (error) {
    if (!reply.fail(error)) throw error;
  }
}

/** @throws WaybillError invalid_request for headers that cannot be read */
export function routedRequest(
  exchange: Exchange,
  parts: BringingParts & {
    client: Client;
    ask: TaskRequest;
    model?: string | undefined;
    endpoint: string;
    life: Lifeline;
  },
): RoutedRequest {
  const { client, ask, endpoint, life } = parts;
  const region = exchange.headers['x-waybill-region'];
  const model = parts.model ?? (ask.body.value['model'] as string);
  if (model.length > MAX_MODEL_CHARACTERS) {
    throw new WaybillError('invalid_request', {
      message: `\`model\` is at most ${MAX_MODEL_CHARACTERS} characters long`,
      param: 'model',
    });
  }
  return {
    inferenceId: exchange.state.inferenceId,
    receivedAt: exchange.state.receivedAt,
    client,
    endpoint,
    model,
    ask,
    tags: tagsOf(exchange, client),
    // The ledger knows it longer than the request lasts.
    region: typeof region === 'string' && region !== '' ? ownText(region) : null,
    cacheControl: exchange.headers['cache-control'],
    brought: broughtKey(exchange, parts),
    life,
  };
}

/** `x-waybill-tags: team=a,env=prod` over the client's own tags. */
function tagsOf({ headers }: RequestHead, client: Client): Readonly<Record<string, string>> {
  const header = headers['x-waybill-tags'];
  if (typeof header !== 'string' || header.trim() === '') return client.tags;
  const pairs = header.split(',').map((pair) => {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    const value = pair.slice(equals + 1).trim();
    if (equals === -1 || name === '' || name.length > MAX_TAG_CHARACTERS || value.length > MAX_TAG_CHARACTERS) {
      throw new WaybillError('invalid_request', {
        message: `x-waybill-tags is \`name=value\` pairs between commas, each part at most ${MAX_TAG_CHARACTERS} characters.`,
        param: 'x-waybill-tags',
      });
    }
    return [name, value] as const;
  });
  if (pairs.length > MAX_TAGS) {
    throw new WaybillError('invalid_request', {
      message: `x-waybill-tags holds at most ${MAX_TAGS} tags.`,
      param: 'x-waybill-tags',
    });
  }
  return { ...client.tags, ...Object.fromEntries(pairs) };
}
