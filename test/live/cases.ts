import type { ProviderAdapter } from '../../src/domain/provider.js';
import type { JsonObject, Task } from '../../src/domain/task.js';
import { parseJsonObject } from '../../src/wire/json-object.js';
import type { UnitTaskFixture } from '../conformance/unit-tasks.js';
import { nativeRequest } from './native-requests.js';
import type { Reading } from './read.js';
import { listOf, readSaid } from './said.js';

/** One thing a provider is asked, and what its answer must have. */
export interface LiveCase {
  /** What `--only` knows it by; unique within an adapter. */
  name: string;
  task: Task;
  /** The client's request. */
  request: (model: string) => UnitTaskFixture['request'];
  /** What is wrong with an answer that the adapter could read. */
  check: (reading: Reading) => string[];
}

const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const CITY_SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, country: { type: 'string' } },
  required: ['city', 'country'],
  additionalProperties: false,
};

/** Models that think first need room for it. */
const MAX_TOKENS = 1_024;

const asks = (content: string) => ({ messages: [{ role: 'user', content }], max_tokens: MAX_TOKENS });
const STREAM = { stream: true, stream_options: { include_usage: true } };

const CHATS: ReadonlyArray<[string, object, LiveCase['check']]> = [
  ['chat', asks('Say hello in one short sentence.'), checkText],
  ['tools', { ...asks('What is the weather in Lisbon? Use the tool.'), tools: [WEATHER] }, checkCall],
  [
    'structured output',
    {
      ...asks('Which city is the capital of Portugal?'),
      response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema: CITY_SCHEMA } },
    },
    checkCity,
  ],
];

const OTHERS: { readonly [T in Task]?: [UnitTaskFixture['request'], LiveCase['check']] } = {
  embedding: [{ json: { input: ['a boat on the sea', 'a ship on the ocean'] } }, checkVectors],
  image: [{ json: { prompt: 'a red square on white', n: 1 } }, checkImage],
  speech: [{ json: { input: 'Hello.', voice: 'alloy' } }, checkBytes],
  rerank: [{ json: { query: 'a boat', documents: ['a ship at sea', 'a loaf of bread'], top_n: 2 } }, checkRanks],
  moderation: [{ json: { input: 'Have a nice day.' } }, () => []],
};

/** Every case of every task the adapter has a helper for; chat and completions are tried as streams too. */
export function casesOf(adapter: ProviderAdapter): LiveCase[] {
  return (Object.keys(adapter.tasks) as Task[]).flatMap((task) => {
    const streams = adapter.tasks[task]?.openStream !== undefined;
    if (task === 'chat') return CHATS.flatMap(([name, body, check]) => bothWays(name, task, body, check, streams));
    if (task === 'completion') {
      return bothWays('completion', task, { prompt: 'Once upon a time', max_tokens: 16 }, checkText, streams);
    }
    const [request, check] = OTHERS[task] ?? [nativeRequest(task), () => []];
    return request === null ? [] : [{ name: task, task, request: (model) => named(request, model), check }];
  });
}

function bothWays(name: string, task: Task, body: object, check: LiveCase['check'], streams: boolean): LiveCase[] {
  const whole: LiveCase = { name, task, request: (model) => ({ json: { model, ...body } }), check };
  const stream: LiveCase = {
    name: `${name} stream`,
    task,
    request: (model) => ({ json: { model, ...body, ...STREAM } }),
    check,
  };
  return streams ? [whole, stream] : [whole];
}

/** With the model where the dialect has one: Hugging Face's own tasks name it in the path. */
function named(request: UnitTaskFixture['request'], model: string): UnitTaskFixture['request'] {
  if ('json' in request) return 'inputs' in request.json ? request : { json: { model, ...request.json } };
  if (!('form' in request)) return request;
  return { form: [{ kind: 'field', name: 'model', value: model }, ...request.form] };
}

function checkText({ parts }: Reading): string[] {
  const said = readSaid(parts);
  const problems = said.text.trim() === '' ? ['there is no text'] : [];
  return said.finish === null ? [...problems, 'no choice says why it ended'] : problems;
}

function checkCall({ parts }: Reading): string[] {
  const said = readSaid(parts);
  const call = said.calls.find(({ name }) => name === 'get_weather');
  if (call === undefined) return [`the tool was not called; it said: ${said.text.slice(0, 80)}`];
  const problems = said.finish === 'tool_calls' ? [] : [`the finish reason is ${said.finish}, not tool_calls`];
  const city = parseJsonObject(call.arguments)?.['city'];
  return typeof city === 'string' ? problems : [...problems, `the arguments name no city: ${call.arguments}`];
}

function checkCity({ parts }: Reading): string[] {
  const { text } = readSaid(parts);
  const value: JsonObject = parseJsonObject(text) ?? {};
  const fits = typeof value['city'] === 'string' && typeof value['country'] === 'string';
  return fits ? [] : [`the text does not fit the schema: ${text.slice(0, 80)}`];
}

function checkVectors({ parts: [answer] }: Reading): string[] {
  const vectors = listOf(answer?.['data']).map((item) => item['embedding']);
  if (vectors.length !== 2) return [`there are ${vectors.length} vectors for 2 texts`];
  const lengths = new Set(vectors.map((vector) => (Array.isArray(vector) ? vector.length : 0)));
  return lengths.size === 1 && !lengths.has(0) ? [] : ['the vectors are of different lengths, or none'];
}

function checkImage({ parts: [answer] }: Reading): string[] {
  const [image] = listOf(answer?.['data']);
  return image?.['b64_json'] !== undefined || image?.['url'] !== undefined ? [] : ['there is no image'];
}

function checkBytes({ body }: Reading): string[] {
  return (body?.length ?? 0) > 0 ? [] : ['there are no bytes'];
}

function checkRanks({ parts: [answer] }: Reading): string[] {
  const [best] = listOf(answer?.['results']);
  return best?.['index'] === 0 ? [] : [`the best document is ${String(best?.['index'])}, not 0`];
}
