import { describe, expect, it } from 'vitest';
import type { ProviderAdapter } from '../../src/domain/provider.js';
import { isTokenTask, type Task } from '../../src/domain/task.js';
import { adapters } from '../../src/providers/registry.js';
import { describeAdapter, describeTask, type TaskFixture } from './adapters.js';
import { claudeChat, claudeThinking } from './claude.js';
import { grokEdit, mistralTranscription, togetherImage, withoutSubtitles } from './dialect-fixtures.js';
import { bedrockChat, bedrockTools } from './fixtures/bedrock.js';
import { cohereChat, cohereEmbedding, cohereTools } from './fixtures/cohere.js';
import { replicateChat, replicateImages, replicateVersion } from './fixtures/replicate.js';
import { geminiFixtures } from './gemini-fixtures.js';
import { geminiMedia } from './gemini-media.js';
import { huggingFaceFixtures, nativeFixtures } from './native-fixtures.js';
import {
  describeNoStream,
  describeUnitStream,
  mistralTranscript,
  openAiStreams,
  type UnitStreamFixture,
} from './unit-streams.js';
import { openAiFixtures, rerankAt, teiFixtures, voyageRerank } from './unit-task-fixtures.js';
import { describeUnitTask, type UnitTaskFixture } from './unit-tasks.js';

const USAGE =
  '"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"completion_tokens_details":{"reasoning_tokens":5}}';
const COUNTS = { input: 9, output: 7, reasoning: 5 };
const HEAD = '"id":"x-1","created":1741626611,"model":"vendor/model-1","seed":14150443913665712001';

function sse(...chunks: string[]): string {
  return `${chunks.map((chunk) => `data: ${chunk}\n\n`).join('')}data: [DONE]\n\n`;
}

function chatChunk(choice: string, rest = ''): string {
  return `{${HEAD},"object":"chat.completion.chunk","choices":[${choice}]${rest}}`;
}

/** Each adapter's own addresses are in its own tests; here only the path below them counts. */
const AT_V1 = { baseUrl: 'http://127.0.0.1:9/v1' };

const chat: TaskFixture = {
  name: 'chat in OpenAI’s dialect',
  target: AT_V1,
  request: { messages: [{ role: 'user', content: 'hi 😀' }], unknown_param: { a: [1] }, tools: [] },
  sends: {
    path: '/v1/chat/completions',
    body: { model: 'vendor/model-1', messages: [{ role: 'user', content: 'hi 😀' }], unknown_param: { a: [1] } },
  },
  answer: {
    body: `{${HEAD},"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","reasoning":"hm","tool_calls":[]},"finish_reason":"stop"}],${USAGE}}`,
    usage: COUNTS,
    texts: ['Hellohm'],
    inClientShape: (body) => expect(body).toMatchObject({ choices: [{ message: { content: 'Hello' } }] }),
  },
  stream: {
    text: sse(
      chatChunk('{"index":0,"delta":{"role":"assistant"},"finish_reason":null}', ',"usage":null'),
      chatChunk('{"index":0,"delta":{"content":"He\\"usage\\":{"},"finish_reason":null}', ',"usage":null'),
      chatChunk('{"index":0,"delta":{"content":"llo 😀"},"finish_reason":null}', ',"usage":null'),
      chatChunk('{"index":0,"delta":{},"finish_reason":"stop"}', ',"usage":null'),
      `{${HEAD},"object":"chat.completion.chunk","choices":[],${USAGE}}`,
    ),
    usage: COUNTS,
    texts: ['He"usage":{llo 😀'],
    chunks: 4,
  },
};

const completion: TaskFixture = {
  name: 'completion in OpenAI’s dialect',
  target: AT_V1,
  request: { prompt: 'Once' },
  sends: { path: '/v1/completions', body: { model: 'vendor/model-1', prompt: 'Once' } },
  answer: {
    body: `{${HEAD},"object":"text.completion","prompt":[],"choices":[{"index":0,"text":" upon","finish_reason":"length"}],${USAGE}}`,
    usage: COUNTS,
    texts: [' upon'],
    inClientShape: (body) => expect(body).toMatchObject({ choices: [{ text: ' upon' }] }),
  },
  stream: {
    text: [
      `data:{${HEAD},"object":"text_completion","choices":[{"index":0,"text":" up","finish_reason":""}]}\r\n\r\n`,
      ': keep-alive\r\n\r\n',
      `data:{${HEAD},"object":"text_completion","choices":[{"index":0,"text":"on","finish_reason":""}]}\r\n\r\n`,
      `data:{${HEAD},"object":"text_completion","choices":[{"index":0,"text":"!","finish_reason":"eos_token"}],${USAGE}}\r\n\r\n`,
    ].join(''),
    usage: COUNTS,
    texts: [' upon!'],
    chunks: 3,
  },
};

const embedding: TaskFixture = {
  name: 'embeddings in OpenAI’s dialect',
  target: AT_V1,
  request: { input: ['a', 'b'] },
  sends: { path: '/v1/embeddings', body: { model: 'vendor/model-1', input: ['a', 'b'] } },
  answer: {
    body: '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]},{"object":"embedding","index":1,"embedding":"AAAAPwAAgL8="}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}',
    usage: { input: 2 },
    texts: [],
    inClientShape: (body) => expect(body).toMatchObject({ data: [{ embedding: [0.5, -1] }, { embedding: [0.5, -1] }] }),
  },
};

const featureExtraction: TaskFixture = {
  name: 'embeddings by feature extraction',
  request: { input: ['a', 'b'], normalize: true },
  sends: {
    path: '/hf-inference/models/vendor/model-1/pipeline/feature-extraction',
    body: { inputs: ['a', 'b'], normalize: true },
  },
  answer: {
    body: '[[0.1, 0.2], [0.3, 0.4]]',
    usage: null,
    texts: [],
    inClientShape: (body) =>
      expect(body).toEqual({
        object: 'list',
        data: [
          { object: 'embedding', index: 0, embedding: [0.1, 0.2] },
          { object: 'embedding', index: 1, embedding: [0.3, 0.4] },
        ],
        model: 'vendor/model-1',
      }),
  },
};

/** What a task looks like where an adapter does not say otherwise. */
const byTask: Partial<Record<Task, TaskFixture[]>> = { chat: [chat], completion: [completion], embedding: [embedding] };
/** Reasoning counted beside both the completion and the total, the text so far beside each delta, and no end mark. */
const SONAR = `{${HEAD},"object":"chat.completion","citations":["https://a.test"],`;
const SONAR_USAGE =
  '"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"reasoning_tokens":50,"search_context_size":"low","cost":{"total_cost":0.006}}';
const sonar: TaskFixture = {
  ...chat,
  name: 'chat with citations',
  answer: {
    body: `${SONAR}"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],${SONAR_USAGE}}`,
    usage: { input: 9, output: 12, reasoning: 50 },
    texts: ['Hello'],
    inClientShape: (body) => expect(body).toMatchObject({ citations: ['https://a.test'] }),
  },
  stream: {
    text: [
      `data: ${SONAR}"choices":[{"index":0,"message":{"role":"assistant","content":"Hel"},"delta":{"role":"assistant","content":"Hel"}}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}\r\n\r\n`,
      `data: ${SONAR}"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"delta":{"content":"lo"},"finish_reason":"stop"}],${SONAR_USAGE}}\r\n\r\n`,
    ].join(''),
    usage: { input: 9, output: 12, reasoning: 50 },
    texts: ['Hello'],
    chunks: 2,
  },
};

/** A model that reasons in parts of its content; usage on the last chunk, tool calls whole in one. */
const THINKING = '[{"type":"thinking","thinking":[{"type":"text","text":"hm "},{"type":"text","text":"so"}]}';
const magistral: TaskFixture = {
  ...chat,
  name: 'chat that thinks in parts',
  answer: {
    body: `{${HEAD},"choices":[{"index":0,"message":{"role":"assistant","content":${THINKING},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},"finish_reason":"stop"}]}`,
    usage: null,
    texts: ['Hellohm so'],
    inClientShape: (body) =>
      expect(body).toMatchObject({ choices: [{ message: { content: 'Hello', reasoning_content: 'hm so' } }] }),
  },
  stream: {
    text: sse(
      chatChunk('{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}'),
      chatChunk(`{"index":0,"delta":{"content":${THINKING}]},"finish_reason":null}`),
      chatChunk('{"index":0,"delta":{"content":[{"type":"text","text":"Hel"}]},"finish_reason":null}'),
      chatChunk('{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}', `,${USAGE}`),
    ),
    usage: COUNTS,
    texts: ['hm soHello'],
    chunks: 4,
  },
};

/** Adapters whose own dialect differs. */
const byAdapter: Record<string, Partial<Record<Task, TaskFixture[]>>> = {
  huggingface: { embedding: [featureExtraction, embedding] },
  perplexity: { chat: [sonar] },
  mistral: { chat: [chat, magistral] },
  claude: { chat: [claudeChat, claudeThinking] },
  gemini: geminiFixtures,
  cohere: { chat: [cohereChat, cohereTools], embedding: [cohereEmbedding] },
  bedrock: { chat: [bedrockChat, bedrockTools] },
  replicate: { chat: [replicateChat, replicateVersion] },
};

function fixturesOf(adapter: ProviderAdapter, task: Task): TaskFixture[] {
  const fixtures = byAdapter[adapter.id]?.[task] ?? byTask[task];
  if (fixtures === undefined) throw new Error(`${adapter.id} can do ${task}, and has no fixtures for it`);
  return fixtures;
}

/** Where an adapter asks Hugging Face's own tasks. */
const NATIVE_PATHS: Record<string, (task: Task) => string> = {
  huggingface: (task) =>
    task === 'feature-extraction' || task === 'sentence-similarity'
      ? `/hf-inference/models/vendor/model-1/pipeline/${task}`
      : '/hf-inference/models/vendor/model-1',
  sandbox: (task) => `/hf-inference/models/vendor/model-1/pipeline/${task}`,
};
const unsubtitled = {
  transcription: withoutSubtitles('transcription'),
  'audio-translation': withoutSubtitles('audio-translation'),
};
/** Tasks an adapter speaks in another dialect than OpenAI's. */
const unitByAdapter: Record<string, Partial<Record<Task, UnitTaskFixture[]>>> = {
  huggingface: { rerank: teiFixtures, ...huggingFaceFixtures },
  cohere: { rerank: rerankAt('/v2/rerank') },
  voyage: { rerank: voyageRerank },
  replicate: { image: replicateImages },
  groq: unsubtitled,
  together: { image: togetherImage, ...unsubtitled },
  grok: { 'image-edit': grokEdit },
  mistral: { transcription: mistralTranscription },
  gemini: geminiMedia,
};

/** Adapters whose fixtures name their own paths. */
const AT_OWN = new Set(['huggingface', 'cohere', 'voyage', 'gemini', 'replicate']);

function unitFixturesOf(adapter: ProviderAdapter, task: Task): UnitTaskFixture[] {
  const path = NATIVE_PATHS[adapter.id]?.(task);
  const native = path === undefined ? [] : nativeFixtures(task, path);
  const own = unitByAdapter[adapter.id]?.[task];
  if (own !== undefined)
    return own.map((fixture) => (AT_OWN.has(adapter.id) ? fixture : { target: AT_V1, ...fixture }));
  const usual = openAiFixtures[task];
  if (usual !== undefined) return usual.map((fixture) => ({ target: AT_V1, ...fixture }));
  if (native.length === 0) throw new Error(`${adapter.id} can do ${task}, and has no fixtures for it`);
  const target = adapter.inline === true ? { target: { baseUrl: 'http://127.0.0.1:9' } } : {};
  return native.map((fixture) => ({ ...target, ...fixture }));
}

/** Streams in other words than OpenAI's. */
const streamsByAdapter: Record<string, { readonly [T in Task]?: UnitStreamFixture }> = {
  mistral: { transcription: mistralTranscript },
};

function describeStreamOf(adapter: ProviderAdapter, task: Task): void {
  const usual = openAiStreams[task];
  const fixture = streamsByAdapter[adapter.id]?.[task] ?? usual;
  const streams = adapter.tasks[task]?.openStream !== undefined;
  if (fixture === undefined && streams) throw new Error(`${adapter.id} streams ${task}, and has no fixture for it`);
  if (fixture === undefined) return;
  const placed = { target: AT_V1, ...fixture };
  if (streams) describeUnitStream(adapter, task, placed);
  else describeNoStream(adapter, task, placed);
}

describe.each(adapters.map((adapter) => [adapter.id, adapter] as const))('adapter %s', (_id, adapter) => {
  describeAdapter(adapter);
  for (const task of Object.keys(adapter.tasks) as Task[]) {
    if (isTokenTask(task)) for (const fixture of fixturesOf(adapter, task)) describeTask(adapter, task, fixture);
    else {
      for (const fixture of unitFixturesOf(adapter, task)) describeUnitTask(adapter, task, fixture);
      describeStreamOf(adapter, task);
    }
  }
});

it('has no two adapters of one name', () => {
  const names = adapters.flatMap((adapter) => [adapter.id, ...(adapter.aliases ?? [])]);
  expect(new Set(names).size).toBe(names.length);
});
