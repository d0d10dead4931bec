import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SandboxAnswers } from './answers.js';
import { type ReadBody, readForm, readPlain } from './bodies.js';
import { errorReply, type Reply } from './reply.js';
import { SandboxCounter, type SandboxStats } from './stats.js';

export interface RunningSandbox {
  /** Without a trailing slash. */
  url: string;
  port: number;
  /** Closes every connection, open streams too. */
  close(): Promise<void>;
  stats(): SandboxStats;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Longer than the idle time of common client pools, so that a kept connection is not closed under a request. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Starts the bundled upstream on a port of its own (0: any free one).
 *
 * @throws the listen error, e.g. EADDRINUSE
 */
export async function startSandbox(options: { port?: number; host?: string } = {}): Promise<RunningSandbox> {
  const host = options.host ?? '127.0.0.1';
  const answers = new SandboxAnswers();
  const counter = new SandboxCounter();
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (request, response) =>
    handle(request, response, answers, counter),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    stats: () => counter.snapshot(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function handle(
  request: IncomingMessage,
  response: ServerResponse,
  answers: SandboxAnswers,
  counter: SandboxCounter,
): void {
  const method = request.method ?? 'GET';
  const path = pathOf(request.url ?? '/');
  if (path === '/__stats') {
    if (method === 'DELETE') counter.reset();
    const text = JSON.stringify(counter.snapshot());
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
    const key = keyOf(request);
    const script = request.headers['x-sandbox-script'];
    const answer = (read: ReadBody) => {
      const asked = { method, path, script: typeof script === 'string' ? script : null, key, ...read };
      const reply = size > MAX_BODY_BYTES ? errorReply(413, {}) : answers.answer(asked);
      counter.count(path, key, reply);
      send(response, reply, counter);
    };
    const type = request.headers['content-type'] ?? '';
    if (size > MAX_BODY_BYTES) answer({ body: '' });
    else if (/^multipart\/form-data\b/i.test(type)) void readForm(body, type).then(answer);
    else answer(readPlain(body, type));
  });
}

function send(response: ServerResponse, reply: Reply, counter: SandboxCounter): void {
  if (reply.delayMs === 0 && reply.cutAfter === null && reply.chunkDelayMs === null) {
    sendWhole(response, reply);
    return;
  }
  let timer: NodeJS.Timeout | undefined;
  response.once('close', () => {
    clearTimeout(timer);
    if (!response.writableFinished && reply.cutAfter === null) counter.countAborted();
  });
  const start = () => {
    if (reply.cutAfter !== null) sendCut(response, reply, reply.cutAfter);
    else if (reply.isStream && reply.chunkDelayMs !== null) sendPaced(response, reply, reply.chunkDelayMs);
    else sendWhole(response, reply);
  };
  if (reply.delayMs === 0) start();
  else timer = setTimeout(start, reply.delayMs);
}

function sendWhole(response: ServerResponse, reply: Reply): void {
  const [first] = reply.frames;
  const body = reply.frames.length === 1 && first !== undefined ? first : Buffer.concat(reply.frames);
  if (reply.isStream) {
    response.writeHead(reply.status, reply.headers);
    response.end(body);
    return;
  }
  response.writeHead(reply.status, { ...reply.headers, 'content-length': body.length });
  response.end(body);
}

/** Sends the beginning and breaks the connection. Nothing of the answer, its status too, when `after` is 0. */
function sendCut(response: ServerResponse, reply: Reply, after: number): void {
  const { socket } = response;
  const whole = Buffer.concat(reply.frames);
  const kept = reply.isStream ? Buffer.concat(reply.frames.slice(0, after)) : whole.subarray(0, after);
  if (after === 0 || socket === null) {
    socket?.destroy();
    return;
  }
  const length = reply.isStream ? {} : { 'content-length': whole.length };
  response.writeHead(reply.status, { ...reply.headers, ...length });
  if (kept.length >= whole.length) response.end(kept);
  else response.write(kept, () => socket.destroy());
}

/** One event a write, so that the other side sees them one by one. */
function sendPaced(response: ServerResponse, reply: Reply, gapMs: number): void {
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  response.once('close', () => clearTimeout(timer));
  const next = () => {
    if (response.destroyed) return;
    const frame = reply.frames[sent];
    sent++;
    if (frame === undefined) {
      response.end();
    } else if (!response.write(frame)) {
      response.once('drain', next);
    } else if (gapMs === 0) {
      setImmediate(next);
    } else {
      timer = setTimeout(next, gapMs);
    }
  };
  response.writeHead(reply.status, reply.headers);
  next();
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** The key the caller presented, in any of the usual headers. */
function keyOf(request: IncomingMessage): string | null {
  const { authorization } = request.headers;
  if (authorization !== undefined) return authorization.replace(/^Bearer\s+/i, '');
  const key = request.headers['x-api-key'] ?? request.headers['api-key'];
  return typeof key === 'string' ? key : null;
}
