/**
 * The upstream of the bench, a process of its own. It answers fixed bytes straight on the socket: with node:http it would
 * cost half of what the proxies under test cost, and be in their way on a small machine.
 */
import { createServer, type Socket } from 'node:net';
import { CHUNKS_PER_STREAM, MODELS } from './scenarios.js';

const PACE_MS = 10;
const HEADER_END = Buffer.from('\r\n\r\n');
/** The model's name stands this near to the body's start. */
const MODEL_WITHIN = 200;

const chatAnswer = answer(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: MODELS.chat,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'So that nobody has to guess at the end of the month. '.repeat(6) },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 42, completion_tokens: 84, total_tokens: 126 },
    system_fingerprint: 'fp_bench',
  }),
);

const embeddingsAnswer = answer(
  JSON.stringify({
    object: 'list',
    data: Array.from({ length: 100 }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: Array.from({ length: 1536 }, (_unused, at) => Math.sin(index * 1536 + at) / 40),
    })),
    model: MODELS.embeddings,
    usage: { prompt_tokens: 2600, total_tokens: 2600 },
  }),
);

const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n',
);
const streamFrames = [
  ...Array.from({ length: CHUNKS_PER_STREAM - 1 }, (_, at) => event({ content: ` word${at}` }, null)),
  event({}, 'stop'),
];
const streamTail = Buffer.concat([
  frame(
    `data: ${JSON.stringify({ ...chunkHead(), choices: [], usage: { prompt_tokens: 42, completion_tokens: 99, total_tokens: 141 } })}\n\n`,
  ),
  frame('data: [DONE]\n\n'),
  Buffer.from('0\r\n\r\n'),
]);

interface OpenStream {
  socket: Socket;
  next: number;
}

const paced = new Set<OpenStream>();
setInterval(() => {
  for (const stream of paced) if (!writeNext(stream)) paced.delete(stream);
}, PACE_MS);

const server = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data: Buffer) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
    for (;;) {
      const end = pending.indexOf(HEADER_END);
      if (end < 0) return;
      const bodyAt = end + HEADER_END.length;
      const length = Number(/content-length: (\d+)/i.exec(pending.toString('latin1', 0, end))?.[1] ?? '0');
      if (pending.length < bodyAt + length) return;
      const model = pending.toString('latin1', bodyAt, bodyAt + Math.min(length, MODEL_WITHIN));
      pending = pending.subarray(bodyAt + length);
      reply(socket, model);
    }
  });
});

function reply(socket: Socket, bodyStart: string): void {
  if (bodyStart.includes(MODELS.streamFast)) {
    socket.write(STREAM_HEAD);
    const stream = { socket, next: 0 };
    const step = () => {
      if (writeNext(stream)) setImmediate(step);
    };
    step();
  } else if (bodyStart.includes(MODELS.streamPaced)) {
    socket.write(STREAM_HEAD);
    paced.add({ socket, next: 0 });
  } else if (bodyStart.includes(MODELS.streamIdle)) {
    socket.write(STREAM_HEAD);
    socket.write(streamFrames[0] as Buffer);
  } else if (bodyStart.includes(MODELS.embeddings)) socket.write(embeddingsAnswer);
  else socket.write(chatAnswer);
}

/** False when the stream is over. */
function writeNext(stream: OpenStream): boolean {
  if (stream.socket.destroyed) return false;
  const next = streamFrames[stream.next];
  stream.socket.write(next ?? streamTail);
  stream.next += 1;
  return next !== undefined;
}

function chunkHead(): object {
  return { id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_700_000_000, model: MODELS.chat };
}

function event(delta: object, finishReason: string | null): Buffer {
  return frame(
    `data: ${JSON.stringify({ ...chunkHead(), choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] })}\n\n`,
  );
}

function frame(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

function answer(json: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  );
}

server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('disconnect', () => process.exit(0));
