import { expect } from 'vitest';
import type { TaskFixture } from './adapters.js';

/** Events as the Messages API sends them: named, their type in the data again. */
export function claudeSse(...events: ReadonlyArray<{ type: string; [key: string]: unknown }>): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

export function claudeStart(usage: object, rest: object = {}): { type: string } {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-x-1', content: [] };
  const open = { stop_reason: null, stop_sequence: null, usage };
  return { type: 'message_start', message: { ...message, ...open, ...rest } } as { type: string };
}

export const blockStart = (index: number, block: object) => ({
  type: 'content_block_start',
  index,
  content_block: block,
});
export const blockDelta = (index: number, delta: object) => ({ type: 'content_block_delta', index, delta });
export const blockStop = (index: number) => ({ type: 'content_block_stop', index });

export const messageDelta = (reason: string, usage: object, rest: object = {}) => ({
  type: 'message_delta',
  delta: { stop_reason: reason, stop_sequence: null, ...rest },
  usage,
});

export const claudeChat: TaskFixture = {
  name: 'chat in Anthropic’s dialect',
  request: {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'hi 😀' },
    ],
    unknown_param: { a: [1] },
    tools: [],
  },
  sends: {
    path: '/v1/messages',
    body: {
      model: 'vendor/model-1',
      max_tokens: 16_384,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hi 😀' }] }],
      unknown_param: { a: [1] },
    },
  },
  answer: {
    body: JSON.stringify({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-x-1',
      content: [
        { type: 'text', text: 'Hel', citations: null },
        { type: 'text', text: 'lo' },
      ],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: {
        input_tokens: 9,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 100,
        output_tokens: 12,
        service_tier: 'standard',
      },
    }),
    usage: { input: 9, cachedInput: 100, cacheWrite: 0, output: 12 },
    texts: ['Hello'],
    inClientShape: (body) =>
      expect(body).toEqual({
        id: 'msg_1',
        object: 'chat.completion',
        created: 0,
        model: 'claude-x-1',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Hello', refusal: null },
            finish_reason: 'stop',
            logprobs: null,
          },
        ],
        usage: {
          prompt_tokens: 109,
          completion_tokens: 12,
          total_tokens: 121,
          prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 0 },
        },
      }),
  },
  stream: {
    text: claudeSse(
      claudeStart({
        input_tokens: 9,
        cache_creation_input_tokens: 3,
        cache_read_input_tokens: 100,
        output_tokens: 1,
      }),
      blockStart(0, { type: 'text', text: '' }),
      { type: 'ping' },
      blockDelta(0, { type: 'text_delta', text: 'He"stop_reason":{' }),
      blockDelta(0, { type: 'text_delta', text: 'llo 😀' }),
      blockStop(0),
      messageDelta('end_turn', { output_tokens: 12 }),
      { type: 'message_stop' },
    ),
    usage: { input: 9, cachedInput: 100, cacheWrite: 3, output: 12 },
    texts: ['He"stop_reason":{llo 😀'],
    chunks: 4,
    finish: '"stop_reason":"',
  },
};

const weather = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };

export const claudeThinking: TaskFixture = {
  name: 'thinking and tools in Anthropic’s dialect',
  request: {
    messages: [{ role: 'user', content: 'Rain?' }],
    tools: [weather],
    reasoning_effort: 'high',
    max_completion_tokens: 2000,
  },
  sends: {
    path: '/v1/messages',
    body: {
      max_tokens: 2000,
      thinking: { type: 'adaptive', display: 'summarized' },
      output_config: { effort: 'high' },
      tools: [{ name: 'weather', input_schema: { type: 'object' } }],
    },
  },
  answer: {
    body: `{"id":"msg_1","type":"message","model":"claude-x-1","content":[{"type":"thinking","thinking":"hm","signature":"sig=="},{"type":"redacted_thinking","data":"secret"},{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city": "Ulm", "at": 14150443913665712001}}],"stop_reason":"tool_use","usage":{"input_tokens":9,"output_tokens":12,"output_tokens_details":{"thinking_tokens":5}}}`,
    usage: { input: 9, output: 7, reasoning: 5 },
    texts: ['hmweather{"city": "Ulm", "at": 14150443913665712001}'],
    inClientShape: (body) =>
      expect(body).toMatchObject({
        choices: [
          {
            message: {
              content: null,
              reasoning_content: 'hm',
              thinking_blocks: [
                { type: 'thinking', thinking: 'hm', signature: 'sig==', model: 'vendor/model-1' },
                { type: 'redacted_thinking', data: 'secret', model: 'vendor/model-1' },
              ],
              tool_calls: [
                {
                  id: 'toolu_1',
                  type: 'function',
                  function: { name: 'weather', arguments: '{"city": "Ulm", "at": 14150443913665712001}' },
                },
              ],
            },
            finish_reason: 'tool_calls',
          },
        ],
        usage: { completion_tokens: 12, completion_tokens_details: { reasoning_tokens: 5 } },
      }),
  },
  stream: {
    text: claudeSse(
      claudeStart({ input_tokens: 9, output_tokens: 1 }),
      blockStart(0, { type: 'thinking', thinking: '', signature: '' }),
      blockDelta(0, { type: 'thinking_delta', thinking: 'hm ' }),
      blockDelta(0, { type: 'thinking_delta', thinking: 'hm' }),
      blockDelta(0, { type: 'signature_delta', signature: 'sig==' }),
      blockStop(0),
      blockStart(1, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }),
      blockDelta(1, { type: 'input_json_delta', partial_json: '' }),
      blockDelta(1, { type: 'input_json_delta', partial_json: '{"city": "U' }),
      blockDelta(1, { type: 'input_json_delta', partial_json: 'lm"}' }),
      blockStop(1),
      messageDelta('tool_use', { output_tokens: 12, output_tokens_details: { thinking_tokens: 5 } }),
      { type: 'message_stop' },
    ),
    usage: { input: 9, output: 7, reasoning: 5 },
    texts: ['hm hmweather{"city": "Ulm"}'],
    chunks: 8,
    finish: '"stop_reason":"',
  },
};
