import type { RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { WaybillError } from '../domain/errors.js';
import { OpenAnswers } from './open-answers.js';
import type { HttpHandler } from './server.js';
import { ShortServer } from './short/short-server.js';

/** How long clients are waited for, in milliseconds. */
export interface ListenerTimes {
  /** For a whole request. */
  requestMs: number;
  /** Between requests: longer than load balancers keep an idle connection, so that they close it and not we. */
  keepAliveMs: number;
  /** For a client to take something of what waits for it. */
  takeMs: number;
  /** How often it is looked who has taken too long. */
  lookMs: number;
}

const TIMES: ListenerTimes = { requestMs: 60_000, keepAliveMs: 75_000, takeMs: 60_000, lookMs: 5_000 };

export interface ListenerOptions {
  /** Of the configuration that is current when a request arrives. */
  handler: () => HttpHandler;
  bodyLimitBytes: () => number;
  /** True while the daemon stops: a kept-alive connection is then not to bring another request. */
  isDraining: () => boolean;
  times?: ListenerTimes;
}

/** The HTTP server under the routes: what it answers before there is a request to route. */
export function createListener({ handler, bodyLimitBytes, isDraining, times = TIMES }: ListenerOptions): Server {
  const refusal = (why: keyof typeof REFUSALS) => refusalText(REFUSALS[why], times);
  const server = new ShortServer({ hotPaths: () => handler().hot, isDraining, refusal, ...times });
  new OpenAnswers(server, times);
  const onRequest: RequestListener = (request, response) => {
    if (isDraining()) response.setHeader('connection', 'close');
    handler().handle(request, response);
  };
  server.on('request', onRequest);
  server.on('checkContinue', (request, response) => {
    // A body that will be refused by its length is not asked for.
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced <= bodyLimitBytes()) response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (socket.writable) socket.end(refusal(whyRefused(error.code)));
  });
  return server;
}

const REFUSALS = {
  overflow: { status: '431 Request Header Fields Too Large', message: 'The headers of the request are too large.' },
  timeout: { status: '408 Request Timeout', message: 'The request did not come within {} s.' },
  broken: { status: '400 Bad Request', message: 'This is no HTTP request.' },
} as const;

function whyRefused(code: string | undefined): keyof typeof REFUSALS {
  if (code === 'HPE_HEADER_OVERFLOW') return 'overflow';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'timeout' : 'broken';
}

/** What cannot be parsed has no route: the error table's shape, written by hand. */
function refusalText({ status, message }: { status: string; message: string }, { requestMs }: ListenerTimes): string {
  const told = message.replace('{}', String(requestMs / 1_000));
  const body = JSON.stringify(new WaybillError('invalid_request', { message: told }).toBody());
  return `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
