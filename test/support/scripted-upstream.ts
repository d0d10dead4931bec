import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request an upstream was sent. */
export interface RecordedRequest {
  /** Epoch milliseconds when its head arrived. */
  time: number;
  method: string;
  path: string;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** The body's text, as sent. */
  body: string;
  /** True when the caller went away before the answer ended. */
  aborted: boolean;
  /** Resolves when the exchange is over: answered, cut or abandoned. */
  closed: Promise<void>;
}

/** One answer. Exactly one of `body`, `sse` and `rawBytes` says what is sent; none sends an empty body. */
export interface UpstreamStep {
  /** 200 unless given. */
  status?: number;
  headers?: Record<string, string>;
  /** A string as it is, anything else as JSON. */
  body?: unknown;
  /** Events, each sent as `data: …\n\n`. No `[DONE]` is added. */
  sse?: readonly string[];
  rawBytes?: Uint8Array | string;
  /** Milliseconds between events (or split parts). */
  chunkDelayMs?: number;
  /** Sends the body in parts of so many bytes, each in a write of its own: 1 is byte by byte. */
  splitAt?: number;
  /** Breaks the connection after so many bytes of body; 0 breaks it unanswered. */
  cutAfterBytes?: number;
  /** Never answers, or (with a body) never ends the answer; until the caller leaves or the upstream closes. */
  hang?: boolean;
  /** Milliseconds before the first byte. */
  delayMs?: number;
}

export type UpstreamHandler = (request: RecordedRequest, index: number) => UpstreamStep | Promise<UpstreamStep>;

export interface ScriptedUpstream {
  /** Without a trailing slash. */
  url: string;
  port: number;
  /** Every request so far, oldest first. */
  requests: RecordedRequest[];
  /** Resolves once `count` requests have come; rejects after `timeoutMs` (5 s). */
  waitForRequests(count: number, timeoutMs?: number): Promise<void>;
  /** Replaces what answers the requests still to come. */
  setScript(script: UpstreamHandler | readonly UpstreamStep[]): void;
  close(): Promise<void>;
}

/**
 * A real HTTP server on a port of its own that records what it is asked and answers as told: from a function, or from a
 * queue of steps, the last of which stays (a queue of one answers everything alike).
 */
export async function startUpstream(script: UpstreamHandler | readonly UpstreamStep[]): Promise<ScriptedUpstream> {
  let handler = toHandler(script);
  const requests: RecordedRequest[] = [];
  const sockets = new Set<Socket>();
  const waiters = new Set<() => void>();
  const server = createServer({ noDelay: true, keepAliveTimeout: 75_000 }, (request, response) => {
    void receive(request, response).catch((error: unknown) => {
      // A mistake in the test's own script: said in the answer, where the test will see it.
      if (!response.headersSent) response.writeHead(599);
      response.end(String(error));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const record: RecordedRequest = {
      time: Date.now(),
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers as Record<string, string>,
      body: '',
      aborted: false,
      closed: new Promise((resolve) => {
        response.once('close', () => {
          record.aborted = !response.writableFinished && !cutByUs.has(response);
          resolve();
        });
      }),
    };
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      // The caller left while it was sending: recorded as aborted, nothing to answer.
      return;
    }
    record.body = Buffer.concat(parts).toString('utf8');
    const index = requests.push(record) - 1;
    for (const check of waiters) check();
    await answer(response, await handler(record, index));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    setScript: (next) => {
      handler = toHandler(next, requests.length);
    },
    waitForRequests: (count, timeoutMs = 5_000) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (requests.length < count) return;
          clearTimeout(timer);
          waiters.delete(check);
          resolve();
        };
        const timer = setTimeout(() => {
          waiters.delete(check);
          reject(new Error(`${requests.length} of ${count} requests came within ${timeoutMs} ms`));
        }, timeoutMs);
        waiters.add(check);
        check();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const cutByUs = new WeakSet<ServerResponse>();

function toHandler(script: UpstreamHandler | readonly UpstreamStep[], offset = 0): UpstreamHandler {
  if (typeof script === 'function') return script;
  return (_request, index) => script[Math.min(index - offset, script.length - 1)] ?? { status: 599 };
}

async function answer(response: ServerResponse, step: UpstreamStep): Promise<void> {
  if (step.delayMs !== undefined && !(await pause(response, step.delayMs))) return;
  const parts = partsOf(step);
  if (step.hang === true && parts.length === 0) return;
  if (step.cutAfterBytes === 0) {
    cut(response);
    return;
  }
  const contentType = step.sse === undefined ? 'application/json' : 'text/event-stream; charset=utf-8';
  response.writeHead(step.status ?? 200, { 'content-type': contentType, ...step.headers });
  response.flushHeaders();
  let left = step.cutAfterBytes ?? Number.POSITIVE_INFINITY;
  const separate = step.splitAt !== undefined || step.chunkDelayMs !== undefined;
  for (const part of parts) {
    if (response.destroyed) return;
    await write(response, part.subarray(0, left));
    left -= part.length;
    if (left <= 0) {
      cut(response);
      return;
    }
    if (separate && !(await pause(response, step.chunkDelayMs ?? 0))) return;
  }
  if (step.hang !== true) response.end();
}

function partsOf(step: UpstreamStep): Buffer[] {
  const whole = bytesOf(step);
  if (step.splitAt !== undefined) {
    const parts: Buffer[] = [];
    for (let i = 0; i < whole.length; i += step.splitAt) parts.push(whole.subarray(i, i + step.splitAt));
    return parts;
  }
  if (step.sse !== undefined && step.chunkDelayMs !== undefined) {
    return step.sse.map((data) => Buffer.from(`data: ${data}\n\n`));
  }
  return whole.length === 0 ? [] : [whole];
}

function bytesOf(step: UpstreamStep): Buffer {
  if (step.rawBytes !== undefined) return Buffer.from(step.rawBytes as Uint8Array);
  if (step.sse !== undefined) return Buffer.from(step.sse.map((data) => `data: ${data}\n\n`).join(''));
  if (step.body === undefined) return Buffer.alloc(0);
  return Buffer.from(typeof step.body === 'string' ? step.body : JSON.stringify(step.body));
}

function cut(response: ServerResponse): void {
  cutByUs.add(response);
  response.socket?.destroy();
}

function write(response: ServerResponse, part: Buffer): Promise<void> {
  return new Promise((resolve) => {
    // The error of a caller that left is seen as `aborted`.
    response.write(part, () => resolve());
  });
}

/** False when the exchange was over before the time was. */
function pause(response: ServerResponse, ms: number): Promise<boolean> {
  if (ms === 0) return new Promise((resolve) => setImmediate(() => resolve(!response.destroyed)));
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      response.off('close', gone);
      resolve(true);
    };
    const gone = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(done, ms);
    response.once('close', gone);
  });
}
