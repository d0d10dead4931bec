import { expect } from 'vitest';
import type { Task } from '../../src/domain/task.js';
import type { TaskFixture } from './adapters.js';

/** Exchanges in the shape of https://ai.google.dev/api/generate-content and https://ai.google.dev/api/embeddings. */

const TARGET = { providerModel: 'gemini-2.5-flash', baseUrl: 'https://generativelanguage.googleapis.com' };
const HEAD = '"modelVersion": "gemini-2.5-flash-001", "responseId": "r-1"';
const USAGE = `"usageMetadata": {
  "promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 4,
  "toolUsePromptTokenCount": 3, "totalTokenCount": 34,
  "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 14}, {"modality": "AUDIO", "tokenCount": 6}],
  "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]
}`;
const COUNTS = { input: 14, cachedInput: 5, audioInput: 4, output: 7, reasoning: 4 };
const OPENAI_USAGE = {
  prompt_tokens: 23,
  completion_tokens: 11,
  total_tokens: 34,
  prompt_tokens_details: { cached_tokens: 5, audio_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 4 },
};

/** Google ends its lines with CR and LF. */
function sse(...events: string[]): string {
  return events.map((event) => `data: ${event}\r\n\r\n`).join('');
}

function event(parts: string, rest = ''): string {
  return `{"candidates": [{"content": {"parts": [${parts}],"role": "model"}${rest},"index": 0}],${HEAD},"usageMetadata": {"promptTokenCount": 20,"totalTokenCount": 20}}`;
}

const chat: TaskFixture = {
  name: 'chat by generateContent',
  target: TARGET,
  request: {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'hi 😀' },
    ],
    temperature: 0.5,
    safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
  },
  sends: {
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: {
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [{ role: 'user', parts: [{ text: 'hi 😀' }] }],
      generationConfig: { temperature: 0.5 },
      safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
    },
  },
  answer: {
    body: `{"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "Hel"}, {"text": "lo", "thoughtSignature": "c2ln"}], "role": "model"}, "finishReason": "STOP"}], ${USAGE}, ${HEAD}}`,
    usage: COUNTS,
    texts: ['Hellohm'],
    inClientShape: (body) =>
      expect(body).toEqual({
        id: 'r-1',
        object: 'chat.completion',
        created: 0,
        model: 'gemini-2.5-flash-001',
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: 'Hello',
              refusal: null,
              reasoning_content: 'hm',
              extra_content: { google: { thought_signature: 'c2ln' } },
            },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: OPENAI_USAGE,
      }),
  },
  stream: {
    text: sse(
      event('{"text": "hm","thought": true}'),
      event('{"text": "Hel"}'),
      event('{"text": "lo 😀"}'),
      `{"candidates": [{"content": {"parts": [{"text": "!"}],"role": "model"},"finishReason": "STOP","index": 0}],${HEAD},${USAGE.replaceAll('\n', '')}}`,
    ),
    usage: COUNTS,
    texts: ['hmHello 😀!'],
    chunks: 4,
    finish: '"finishReason"',
  },
};

const WEATHER = {
  name: 'weather',
  description: 'The weather',
  parameters: { type: 'object', additionalProperties: false },
};

const tools: TaskFixture = {
  name: 'chat with tools',
  target: TARGET,
  request: {
    messages: [
      { role: 'user', content: 'Paris and London?' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'c1',
            type: 'function',
            function: { name: 'weather', arguments: '{"city":"Paris"}' },
            extra_content: { google: { thought_signature: 'U0lH' } },
          },
          { id: 'c2', type: 'function', function: { name: 'weather', arguments: '{"city":"London"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: '{"sky":"clear"}' },
      { role: 'tool', tool_call_id: 'c2', content: 'rain' },
    ],
    tools: [{ type: 'function', function: WEATHER }],
    tool_choice: 'required',
  },
  sends: {
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: {
      contents: [
        { role: 'user', parts: [{ text: 'Paris and London?' }] },
        {
          role: 'model',
          parts: [
            { functionCall: { id: 'c1', name: 'weather', args: { city: 'Paris' } }, thoughtSignature: 'U0lH' },
            { functionCall: { id: 'c2', name: 'weather', args: { city: 'London' } } },
          ],
        },
        {
          role: 'user',
          parts: [
            { functionResponse: { id: 'c1', name: 'weather', response: { sky: 'clear' } } },
            { functionResponse: { id: 'c2', name: 'weather', response: { output: 'rain' } } },
          ],
        },
      ],
      tools: [
        {
          functionDeclarations: [
            { name: 'weather', description: 'The weather', parametersJsonSchema: WEATHER.parameters },
          ],
        },
      ],
      toolConfig: { functionCallingConfig: { mode: 'ANY' } },
    },
  },
  answer: {
    body: `{"candidates": [{"content": {"parts": [
      {"functionCall": {"id": "g1", "name": "weather", "args": {"city": "Paris", "id": 12345678901234567890}}, "thoughtSignature": "U0lH"},
      {"functionCall": {"name": "now"}},
      {"functionCall": {"name": "weather", "args": {
        "city": "London"
      }}}
    ], "role": "model"}, "finishReason": "STOP", "index": 0}], ${USAGE}, ${HEAD}}`,
    usage: COUNTS,
    texts: ['weather{"city": "Paris", "id": 12345678901234567890}now{}weather{"city":"London"}'],
    inClientShape: (body) => {
      expect(body).toMatchObject({
        choices: [
          {
            finish_reason: 'tool_calls',
            message: {
              content: null,
              tool_calls: [
                {
                  id: 'g1',
                  type: 'function',
                  function: { name: 'weather', arguments: '{"city": "Paris", "id": 12345678901234567890}' },
                  extra_content: { google: { thought_signature: 'U0lH' } },
                },
                { id: 'call_r-1_0_1', type: 'function', function: { name: 'now', arguments: '{}' } },
                { id: 'call_r-1_0_2', function: { name: 'weather', arguments: '{"city":"London"}' } },
              ],
            },
          },
        ],
      });
      // The signature is the call's, and stands there alone.
      expect(body).not.toHaveProperty('choices.0.message.extra_content');
    },
  },
  stream: {
    text: sse(
      event('{"functionCall": {"name": "weather","args": {"city": "Paris"}},"thoughtSignature": "U0lH"}'),
      event('{"functionCall": {"name": "weather","args": {"city": "London"}}}'),
      event('{"text": ""}', ',"finishReason": "STOP"'),
    ),
    usage: { input: 20, output: 0 },
    texts: ['weather{"city":"Paris"}weather{"city":"London"}'],
    chunks: 3,
    finish: '"finishReason"',
  },
};

const embedding: TaskFixture = {
  name: 'an embedding by embedContent',
  target: { ...TARGET, providerModel: 'gemini-embedding-001' },
  request: { input: 'a', dimensions: 2, taskType: 'RETRIEVAL_QUERY' },
  sends: {
    path: '/v1beta/models/gemini-embedding-001:embedContent',
    body: {
      model: 'models/gemini-embedding-001',
      content: { parts: [{ text: 'a' }] },
      outputDimensionality: 2,
      taskType: 'RETRIEVAL_QUERY',
    },
  },
  answer: {
    body: '{"embedding": {"values": [0.10, -1e-7]}}',
    usage: null,
    texts: [],
    inClientShape: (body) =>
      expect(body).toEqual({
        object: 'list',
        data: [{ object: 'embedding', index: 0, embedding: [0.1, -1e-7] }],
        model: 'gemini-embedding-001',
      }),
  },
};

const embeddings: TaskFixture = {
  name: 'embeddings by batchEmbedContents',
  target: { ...TARGET, providerModel: 'gemini-embedding-2' },
  request: { input: ['a', 'b'], encoding_format: 'base64', user: 'u' },
  sends: {
    path: '/v1beta/models/gemini-embedding-2:batchEmbedContents',
    body: {
      requests: [
        { model: 'models/gemini-embedding-2', content: { parts: [{ text: 'a' }] } },
        { model: 'models/gemini-embedding-2', content: { parts: [{ text: 'b' }] } },
      ],
    },
  },
  extrasIn: (body) => (body as { requests: unknown[] }).requests[1],
  answer: {
    body: '{"embeddings": [{"values": [0.5, -1]}, {"values": [1, 2]}], "usageMetadata": {"promptTokenCount": 4}}',
    usage: { input: 4 },
    texts: [],
    inClientShape: (body) =>
      expect(body).toMatchObject({
        data: [
          { index: 0, embedding: 'AAAAPwAAgL8=' },
          { index: 1, embedding: 'AACAPwAAAEA=' },
        ],
        usage: { prompt_tokens: 4, total_tokens: 4 },
      }),
  },
};

export const geminiFixtures: Partial<Record<Task, TaskFixture[]>> = {
  chat: [chat, tools],
  embedding: [embedding, embeddings],
};
