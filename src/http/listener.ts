import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { WaybillError } from '../domain/errors.js';

/** A client that takes longer to send its request is not waited for. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep an idle connection, so that they close it and not we. */
const KEEP_ALIVE_MS = 75_000;

export interface ListenerOptions {
  handle: RequestListener;
  bodyLimitBytes: () => number;
  /** True while the daemon stops: a kept-alive connection is then not to bring another request. */
  isDraining: () => boolean;
}

/** The HTTP server under the routes: what it answers before there is a request to route. */
export function createListener({ handle, bodyLimitBytes, isDraining }: ListenerOptions): Server {
  const server = createServer({ noDelay: true, keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_TIMEOUT_MS });
  server.on('request', (request, response) => {
    if (isDraining()) response.setHeader('connection', 'close');
    handle(request, response);
  });
  server.on('checkContinue', (request, response) => {
    // A body that will be refused by its length is not asked for.
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced <= bodyLimitBytes()) response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (socket.writable) socket.end(parserAnswer(error.code));
  });
  return server;
}

/** What cannot be parsed has no route: the error table's shape, written by hand. */
function parserAnswer(code: string | undefined): string {
  const [status, message] =
    code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers of the request are too large.']
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', `The request did not come within ${REQUEST_TIMEOUT_MS / 1_000} s.`]
        : ['400 Bad Request', 'This is no HTTP request.'];
  const body = JSON.stringify(new WaybillError('invalid_request', { message }).toBody());
  return `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
