import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ask, answerBody, type Fault, faultFor, type Log, type Schedule, streamEvents } from './script.js';

/**
 * An upstream in a process of its own, with a log of its own. What a request asks of it stands in its `user` field, as
 * JSON; faults follow the schedule that the first argument gives. `GET /log` hands the log over.
 */
const schedule = JSON.parse(process.argv[2] ?? 'null') as Schedule | null;
const log: Log[] = [];

const server = createServer({ noDelay: true, keepAliveTimeout: 75_000 }, (request, response) => {
  receive(request, response).catch((error: unknown) => {
    if (!response.headersSent) response.writeHead(599);
    response.end(String(error));
  });
});

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const at = Date.now();
  if (request.url === '/log') {
    response.end(JSON.stringify(log));
    return;
  }
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = JSON.parse(Buffer.concat(parts).toString()) as { user?: string; stream?: boolean };
  const ask = JSON.parse(body.user ?? '{}') as Ask;
  const provider = Number(/^\/p(\d+)\//.exec(request.url ?? '')?.[1] ?? 0);
  const key = request.headers['authorization']?.replace('Bearer ', '') ?? '';
  const fault = schedule === null ? null : faultFor(schedule, { provider, key, at, draw: Math.random });
  const line: Log = { id: ask.id, at, provider, key, in: 0, out: 0, fault, hasContent: false, leftAt: null };
  log.push(line);
  response.once('close', () => {
    if (!response.writableFinished) line.leftAt = Date.now();
  });
  await answer(response, { ask, fault, line, isStream: body.stream === true });
}

async function answer(
  response: ServerResponse,
  { ask, fault, line, isStream }: { ask: Ask; fault: Fault | null; line: Log; isStream: boolean },
): Promise<void> {
  const askedMs = ask.slow?.provider === line.provider ? ask.slow.ms : (ask.ms ?? 0);
  await sleep(fault?.kind === 'slow' ? fault.ms : askedMs);
  // The caller had no patience: nothing of this reaches it.
  if (response.destroyed) return;
  if (fault?.kind === 'status') {
    response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
    response.end(JSON.stringify(fault.body));
  } else if (fault?.kind === 'reset') {
    response.socket?.resetAndDestroy();
  } else if (fault?.kind === 'malformed') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"choices": [ oh no');
  } else if (isStream) {
    await stream(response, ask, fault, line);
  } else {
    if (fault?.kind === 'error-in-200') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: 'overloaded', type: 'overloaded' } }));
      return;
    }
    if (fault?.kind === 'hang-up') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"id": "half');
      await sleep(5);
      response.socket?.destroy();
      return;
    }
    line.in = ask.in ?? 1;
    line.out = ask.out ?? 1;
    line.hasContent = true;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answerBody(line)));
  }
}

async function stream(response: ServerResponse, ask: Ask, fault: Fault | null, line: Log): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (fault?.kind === 'error-in-200') {
    response.end(`data: ${JSON.stringify({ error: { message: 'overloaded', type: 'overloaded' } })}\n\n`);
    return;
  }
  line.in = ask.in ?? 1;
  line.out = ask.out ?? 1;
  const events = streamEvents(line);
  for (const [index, event] of events.entries()) {
    if (fault?.kind === 'hang-up' && index === fault.after) {
      response.socket?.destroy();
      return;
    }
    response.write(`data: ${event}\n\n`);
    if (index > 0) line.hasContent = true;
    if (ask.chunkMs !== undefined || fault?.kind === 'hang-up') await sleep(ask.chunkMs ?? 1);
    if (response.destroyed) return;
  }
  response.end();
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
// The parent's end is ours, however it ends.
process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
