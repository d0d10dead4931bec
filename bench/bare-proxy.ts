/**
 * What Waybill is measured against: the least a router in Node can do. node:http in front, undici behind, the request
 * parsed as JSON and written again, the answer's bytes passed through. No limits, no keys, no record.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool } from 'undici';

const upstream = new Pool(process.argv[2] as string, { connections: null, pipelining: 1 });

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => forward(request, response, Buffer.concat(parts).toString('utf8')));
});

function forward(request: IncomingMessage, response: ServerResponse, text: string): void {
  const body = JSON.stringify(JSON.parse(text));
  upstream.dispatch(
    {
      method: 'POST',
      path: request.url as string,
      headers: { 'content-type': 'application/json', authorization: 'Bearer bench-provider-key' },
      body,
    },
    {
      onRequestStart: () => undefined,
      onResponseStart(controller, status, headers) {
        const passed: Record<string, string> = { 'content-type': String(headers['content-type']) };
        if (headers['content-length'] !== undefined) passed['content-length'] = String(headers['content-length']);
        response.writeHead(status, passed);
        response.on('drain', () => controller.resume());
      },
      onResponseData(controller, data) {
        if (!response.write(data)) controller.pause();
      },
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  );
}

server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('disconnect', () => process.exit(0));
