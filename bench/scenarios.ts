/** What is asked, how often at once, and what is looked at. Data only: the runner knows no scenario by name. */

export interface Scenario {
  id: string;
  title: string;
  path: '/v1/chat/completions' | '/v1/embeddings';
  /** The request's body: JSON text, `model` first, which is where the upstream looks for what to answer. */
  body: string;
  /** Requests, or open streams, at once. */
  concurrency: number;
  streaming: boolean;
  /** The first requests are spread over so long. */
  spreadMs: number;
  /** Part of `--quick`. */
  quick: boolean;
  suites: readonly Suite[];
}

export type Suite = 'all' | 'stream';

/** The models the upstream knows, and what each makes it answer. */
export const MODELS = {
  chat: 'bench-chat',
  /** 100 chunks, one a write, as fast as they go out. */
  streamFast: 'bench-stream-fast',
  /** 100 chunks, one every 10 ms. */
  streamPaced: 'bench-stream-paced',
  /** One chunk, and then nothing for as long as the client stays. */
  streamIdle: 'bench-stream-idle',
  /** 100 vectors of 1,536 numbers. */
  embeddings: 'bench-embeddings',
} as const;

export const CHUNKS_PER_STREAM = 100;

const PROMPT =
  'In two sentences: why does a router that stands between programs and models write down what each call cost?';

function chat(model: string, options: { content?: string; stream?: boolean } = {}): string {
  return JSON.stringify({
    model,
    messages: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: options.content ?? PROMPT },
    ],
    max_tokens: 256,
    temperature: 0.2,
    ...(options.stream ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

const LONG_PROMPT = `${PROMPT} `.repeat(Math.ceil(100_000 / PROMPT.length)).slice(0, 100_000);
const INPUTS = Array.from({ length: 100 }, (_, index) => `Document ${index}: ${PROMPT}`);
const EMBEDDINGS = JSON.stringify({ model: MODELS.embeddings, input: INPUTS });

export const SCENARIOS: readonly Scenario[] = [
  plain('chat-1', 'chat, one at a time', chat(MODELS.chat), 1, true),
  plain('chat-16', 'chat, 16 at once', chat(MODELS.chat), 16, true),
  plain('chat-64', 'chat, 64 at once', chat(MODELS.chat), 64, false),
  plain('chat-256', 'chat, 256 at once', chat(MODELS.chat), 256, false),
  plain('prompt-100k', 'chat, prompt of 100 KB, 16 at once', chat(MODELS.chat, { content: LONG_PROMPT }), 16, false),
  { ...plain('embeddings', 'embeddings, 100 x 1,536, 8 at once', EMBEDDINGS, 8, true), path: '/v1/embeddings' },
  stream('stream-fast-16', 'streams as fast as they come, 16 open', MODELS.streamFast, 16, true),
  stream('stream-fast-64', 'streams as fast as they come, 64 open', MODELS.streamFast, 64, false),
  stream('stream-paced-50', 'streams at 100 chunks a second, 50 open', MODELS.streamPaced, 50, true),
  stream('stream-paced-200', 'streams at 100 chunks a second, 200 open', MODELS.streamPaced, 200, false),
];

/** A stream that stays open without a word. */
export const IDLE_STREAM = { path: '/v1/chat/completions', body: chat(MODELS.streamIdle, { stream: true }) };

function plain(id: string, title: string, body: string, concurrency: number, quick: boolean): Scenario {
  return {
    id,
    title,
    path: '/v1/chat/completions',
    body,
    concurrency,
    streaming: false,
    spreadMs: 0,
    quick,
    suites: ['all'],
  };
}

function stream(id: string, title: string, model: string, concurrency: number, quick: boolean): Scenario {
  const body = chat(model, { stream: true });
  return {
    id,
    title,
    path: '/v1/chat/completions',
    body,
    concurrency,
    streaming: true,
    // Streams at a pace begin one after the other, as clients do; a second is as long as one takes.
    spreadMs: model === MODELS.streamPaced ? 1000 : 0,
    quick,
    suites: ['all', 'stream'],
  };
}
