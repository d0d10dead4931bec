import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Lifeline } from '../../src/domain/lifeline.js';
import type { UpstreamCall, UpstreamClient } from '../../src/domain/upstream.js';

/** One connection to a raw upstream. */
export interface RawConnection {
  socket: Socket;
  /** The requests that came on it, whole and as they were sent (latin1). */
  requests: string[];
  /** Resolves when it is closed. */
  closed: Promise<void>;
  isClosed: boolean;
}

/** Called for each whole request; `index` counts those of all connections. */
export type RawScript = (connection: RawConnection, request: string, index: number) => void;

export interface RawUpstream {
  /** Without a trailing slash. */
  url: string;
  connections: RawConnection[];
  /** Those of all connections. */
  requests: string[];
  setScript(script: RawScript): void;
  close(): Promise<void>;
}

export const OK = 'HTTP/1.1 200 OK\r\n';

/** An answer with a length. */
export function whole(body: string, headers = ''): string {
  return `${OK}content-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

/** A server that says whatever bytes a test wants it to say. `server` is one for TLS, for example. */
export async function startRawUpstream(
  script: RawScript,
  { server = createServer(), event = 'connection', scheme = 'http' }: Partial<RawOptions> = {},
): Promise<RawUpstream> {
  let answer = script;
  const connections: RawConnection[] = [];
  const requests: string[] = [];
  server.on(event, (socket: Socket) => {
    const connection: RawConnection = {
      socket,
      requests: [],
      isClosed: false,
      closed: new Promise((resolve) => {
        socket.once('close', () => {
          connection.isClosed = true;
          resolve();
        });
      }),
    };
    connections.push(connection);
    let text = '';
    // What the client makes of a connection that breaks is what the tests look at.
    socket.on('error', () => {});
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      for (let length = wholeLength(text); length !== null; length = wholeLength(text)) {
        const request = text.slice(0, length);
        text = text.slice(length);
        connection.requests.push(request);
        requests.push(request);
        answer(connection, request, requests.length - 1);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    connections,
    requests,
    setScript: (next) => {
      answer = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const { socket } of connections) socket.destroy();
      }),
  };
}

interface RawOptions {
  server: Server;
  event: 'connection' | 'secureConnection';
  scheme: 'http' | 'https';
}

/** How long the first request is; null while it is not whole. */
function wholeLength(text: string): number | null {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const length = end + 4 + Number(/\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, end + 2))?.[1] ?? 0);
  return text.length < length ? null : length;
}

/** A call with a small body, and time enough for everything. */
export function aCall(url: string, overrides: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    route: { method: 'POST', url: `${url}/v1/x` },
    headers: { 'content-type': 'application/json' },
    payload: { kind: 'json', body: '{}' },
    connectMs: 5_000,
    firstByteMs: 5_000,
    idleMs: 5_000,
    limits: { sent: () => {} },
    life: new Lifeline(),
    secrets: [],
    ...overrides,
  };
}

/** The answer's text. @throws what the answer broke with, and what came instead of one */
export async function textOf(client: UpstreamClient, call: UpstreamCall): Promise<string> {
  const result = await client.send(call);
  if (!result.ok) throw new Error(`${result.failure.kind}: ${result.failure.message}`);
  return Buffer.concat(await result.response.readAll(10_000_000)).toString('latin1');
}
