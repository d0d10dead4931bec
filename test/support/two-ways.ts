import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Exchange } from '../../src/http/exchange.js';
import { type HotPaths, hotPaths, pastTheRouter } from '../../src/http/hot-paths.js';
import { createListener, type ListenerTimes } from '../../src/http/listener.js';

/** What the handler of these servers takes at the most. */
export const BODY_LIMIT = 256 * 1024;
export const HOT_PATH = '/v1/chat/completions';
const PATHS = ['/v1', '/api/v1'].flatMap((prefix) =>
  ['/chat/completions', '/completions', '/embeddings'].map((path) => prefix + path),
);

/** A listener with a handler that answers with what it was sent. */
export interface Way {
  url: string;
  server: Server;
  /** The bodies of requests that reached the handler, whole. */
  bodies: string[];
  /** How many reached the handler. */
  begun(): number;
  /** Of these, how many ended, answered or left. */
  closed(): number;
  /** How many requests `node:http` was given. */
  requestsOfNode(): number;
  drain(): void;
  close(): Promise<void>;
}

export interface WayOptions {
  /** False for `node:http` alone, which is what the short way is held against. */
  isShort: boolean;
  times?: ListenerTimes;
  /** Instead of the echo. */
  handle?: (exchange: Exchange) => Promise<void>;
}

export async function openWay({ isShort, times, handle = echo }: WayOptions): Promise<Way> {
  const bodies: string[] = [];
  let begun = 0;
  let closed = 0;
  let ofNode = 0;
  let isDraining = false;
  const handler = async (exchange: Exchange) => {
    begun += 1;
    exchange.onClose(() => {
      closed += 1;
    });
    await handle(withRecord(exchange, bodies));
  };
  const hot = hotPaths({
    handlers: new Map(PATHS.map((path) => [path, handler])),
    newId: () => 'an-id',
    clock: { now: () => 0, monotonic: () => 0 } as never,
    logger: { info() {}, error: (details: object) => bodies.push(JSON.stringify(details)) } as never,
  });
  const none: HotPaths = { ...hot, has: () => false };
  const answered = pastTheRouter(elsewhere, hot);
  const counted: RequestListener = (request, response) => {
    ofNode += 1;
    answered(request, response);
  };
  const server = createListener({
    handler: () => ({ handle: counted, hot: isShort ? hot : none }),
    bodyLimitBytes: () => BODY_LIMIT,
    isDraining: () => isDraining,
    ...(times === undefined ? {} : { times }),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    bodies,
    begun: () => begun,
    closed: () => closed,
    requestsOfNode: () => ofNode,
    drain() {
      isDraining = true;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Notes each body once it is read. */
function withRecord(exchange: Exchange, bodies: string[]): Exchange {
  const read = exchange.readBody.bind(exchange);
  const note = (body: Buffer) => {
    bodies.push(body.toString('latin1'));
    return body;
  };
  exchange.readBody = (limit) => {
    const body = read(limit);
    return body instanceof Promise ? body.then(note) : note(body);
  };
  return exchange;
}

/** The body again, with what it says of how to answer. */
async function echo(exchange: Exchange): Promise<void> {
  const body = (await exchange.readBody(BODY_LIMIT)).toString('utf8');
  const { authorization = '-', 'x-waybill-tags': tags = '-' } = exchange.headers;
  const text = `${exchange.path} ${authorization} ${tags} ${body}`;
  const fields = ['content-type', 'text/plain'];
  if (!body.includes('stream')) {
    const sent = body.includes('bytes') ? Buffer.from(text) : text;
    exchange.answer(200, fields, sent);
    return;
  }
  exchange.begin(200, fields);
  for (const part of ['first', 'zwëite', Buffer.from('thîrd'), Buffer.alloc(20_000, 'x'), text]) {
    if (!exchange.write(part)) await exchange.drained();
    await new Promise(setImmediate);
  }
  exchange.end();
}

const elsewhere: RequestListener = (request, response) => {
  request.resume().on('end', () => response.end(`elsewhere: ${request.method} ${request.url}`));
};
