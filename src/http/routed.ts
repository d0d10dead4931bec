import type { Client, ClientDirectory } from '../domain/client.js';
import { ClientGoneError, type Dispatcher, type RoutedRequest } from '../domain/dispatch.js';
import { WaybillError } from '../domain/errors.js';
import type { TaskRequest } from '../domain/task.js';
import { openTaskRequest } from '../wire/openai-request.js';
import { readJsonBody } from './body.js';
import { type HttpContext, presentedKey } from './context.js';
import { replyWithBody, StreamReply } from './reply.js';

const MAX_TAGS = 16;
const MAX_TAG_CHARACTERS = 128;

/** What the routed endpoints need; of the configuration that is current when the request arrives. */
export interface RoutedParts {
  directory: ClientDirectory;
  dispatcher: Dispatcher;
  bodyLimitBytes: number;
  /** Requests under way, so that a stop can wait for them and cut them. */
  underWay: UnderWay;
}

/** Requests that have not ended. */
export interface UnderWay {
  /** @throws WaybillError shutting_down while draining */
  enter(): AbortController;
  leave(controller: AbortController): void;
}

/** One OpenAI-dialect endpoint: identify, read, validate, dispatch, reply. */
export function routedEndpoint(task: 'chat' | 'completion' | 'embedding', endpoint: string, parts: () => RoutedParts) {
  return async (ctx: HttpContext): Promise<void> => {
    const { directory, dispatcher, bodyLimitBytes, underWay } = parts();
    const controller = underWay.enter();
    const onClose = () => {
      if (!ctx.res.writableFinished) controller.abort(new ClientGoneError());
    };
    ctx.res.once('close', onClose);
    try {
      const client = directory.identify(presentedKey(ctx));
      const body = await readJsonBody(ctx.req, bodyLimitBytes);
      const ask = openTaskRequest(task, body);
      const request = routedRequest(ctx, { client, ask, endpoint, signal: controller.signal });
      if (ask.stream) await replyStreaming(ctx, dispatcher, request);
      else replyWithBody(ctx, await wholeAnswer(dispatcher, request));
    } finally {
      // A whole answer still has to be written: its end is the connection's business, not the upstream call's.
      if (ctx.respond === false) ctx.res.off('close', onClose);
      underWay.leave(controller);
    }
  };
}

async function wholeAnswer(dispatcher: Dispatcher, request: RoutedRequest) {
  const answer = await dispatcher.dispatch(request);
  if (answer.kind === 'body') return answer;
  throw new Error('a stream came where a whole answer was asked for');
}

async function replyStreaming(ctx: HttpContext, dispatcher: Dispatcher, request: RoutedRequest): Promise<void> {
  const reply = new StreamReply(ctx);
  try {
    const answer = await dispatcher.dispatch(request);
    if (answer.kind !== 'stream') throw new Error('a whole answer came where a stream was asked for');
    await reply.send(answer);
  } catch (error) {
    if (!reply.fail(error)) throw error;
  }
}

function routedRequest(
  ctx: HttpContext,
  parts: { client: Client; ask: TaskRequest; endpoint: string; signal: AbortSignal },
): RoutedRequest {
  const { client, ask, endpoint, signal } = parts;
  const region = ctx.req.headers['x-waybill-region'];
  return {
    inferenceId: ctx.state.inferenceId,
    receivedAt: ctx.state.receivedAt,
    client,
    endpoint,
    model: ask.body.value['model'] as string,
    ask,
    tags: tagsOf(ctx, client),
    region: typeof region === 'string' && region !== '' ? region : null,
    signal,
  };
}

/** `x-waybill-tags: team=a,env=prod` over the client's own tags. */
function tagsOf(ctx: HttpContext, client: Client): Readonly<Record<string, string>> {
  const header = ctx.req.headers['x-waybill-tags'];
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
