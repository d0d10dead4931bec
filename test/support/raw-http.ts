import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** A request as it is: the path unchanged, the body's bytes unchanged, a connection of its own. */
export function sendRaw(
  url: string,
  { method, path, headers, body }: { method: string; path: string; headers?: object; body?: string | Uint8Array },
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers: { ...headers }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A connection to write on by hand. */
export interface Line {
  socket: Socket;
  /** Everything that came so far. */
  received(): string;
  /** Resolves once the text has come; rejects when the connection ends before, or after 5 s. */
  until(text: string): Promise<string>;
  /** Resolves when the other side has closed. */
  closed: Promise<void>;
}

export async function openLine(url: string): Promise<Line> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let text = '';
  socket.on('data', (part) => {
    text += part.toString('utf8');
  });
  // What the test makes of a connection that broke, it reads off what came.
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return {
    socket,
    received: () => text,
    closed,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => done(new Error(`${wanted} did not come; this did:\n${text}`)), 5_000);
        const check = () => {
          if (text.includes(wanted)) done(null);
        };
        const onClose = () => done(new Error(`closed before ${wanted} came; this did:\n${text}`));
        const done = (error: Error | null) => {
          clearTimeout(timer);
          socket.off('data', check).off('close', onClose);
          if (error === null) resolve(text);
          else reject(error);
        };
        socket.on('data', check).on('close', onClose);
        check();
      }),
  };
}

/** The head of a POST, to be followed by its body. */
export function postHead(path: string, key: string, headers: readonly string[]): string {
  return `${[`POST ${path} HTTP/1.1`, 'host: waybill', `authorization: Bearer ${key}`, 'content-type: application/json', ...headers].join('\r\n')}\r\n\r\n`;
}
