import { blockDelta, blockStart, blockStop, claudeSse, claudeStart, messageDelta } from '../conformance/claude.js';
import { converseEvent } from './event-stream.js';
import type { RecordedRequest, UpstreamStep } from './scripted-upstream.js';

/** What a model says, whatever the dialect: a text, in two pieces where it streams, or a call of one tool. */
export type Said = { text: readonly [string, string] } | { call: { name: string; input: object } };

/** Writes one answer of a model in a provider's own dialect. `body`: what was asked. */
type Dialect = (said: Said, isStream: boolean, body: { model?: string }) => UpstreamStep;

const whole = (said: Said) => ('text' in said ? said.text.join('') : '');

const openAi =
  ({ argumentsAs, end }: { argumentsAs: 'text' | 'object'; end: 'mark' | 'none' }): Dialect =>
  (said, isStream, { model }) => {
    const input = 'call' in said ? said.call.input : {};
    const written = argumentsAs === 'text' ? JSON.stringify(input) : input;
    const call = 'call' in said ? { name: said.call.name, arguments: written } : null;
    const calls = call === null ? [] : [{ index: 0, id: 'call_1', type: 'function', function: call }];
    const finish = call === null ? 'stop' : 'tool_calls';
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    const head = { id: 'x', created: 1, model };
    if (!isStream) {
      const message = {
        ...{ role: 'assistant', content: call === null ? whole(said) : null },
        ...(call === null ? {} : { tool_calls: calls }),
      };
      return {
        body: {
          ...head,
          object: 'chat.completion',
          choices: [{ index: 0, message, finish_reason: finish }],
          usage,
        },
      };
    }
    const chunk = (delta: object, reason: string | null = null, rest: object = {}) =>
      JSON.stringify({
        ...head,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, finish_reason: reason }],
        ...rest,
      });
    const deltas = 'text' in said ? said.text.map((content) => ({ content })) : [{ tool_calls: calls }];
    const events = [
      chunk({ role: 'assistant', content: '' }),
      ...deltas.map((delta) => chunk(delta)),
      chunk({}, finish, end === 'none' ? { usage } : {}),
      ...(end === 'none' ? [] : [JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: [], usage })]),
    ];
    // Text Generation Inference: no space behind the colon, and no mark at the end.
    if (end === 'none') return { headers: SSE, rawBytes: events.map((event) => `data:${event}\n\n`).join('') };
    return { sse: [...events, '[DONE]'] };
  };

const SSE = { 'content-type': 'text/event-stream' };

const claude: Dialect = (said, isStream) => {
  const usage = { input_tokens: 10, output_tokens: 5 };
  const reason = 'call' in said ? 'tool_use' : 'end_turn';
  if (!isStream) {
    const block =
      'call' in said ? { type: 'tool_use', id: 'call_1', ...said.call } : { type: 'text', text: whole(said) };
    const head = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude' };
    return { body: { ...head, content: [block], stop_reason: reason, stop_sequence: null, usage } };
  }
  const block =
    'call' in said ? { type: 'tool_use', id: 'call_1', name: said.call.name, input: {} } : { type: 'text', text: '' };
  const deltas =
    'call' in said
      ? [{ type: 'input_json_delta', partial_json: JSON.stringify(said.call.input) }]
      : said.text.map((text) => ({ type: 'text_delta', text }));
  const text = claudeSse(
    claudeStart({ ...usage, output_tokens: 1 }),
    blockStart(0, block),
    ...deltas.map((delta) => blockDelta(0, delta)),
    blockStop(0),
    messageDelta(reason, { output_tokens: 5 }),
    { type: 'message_stop' },
  );
  return { headers: SSE, rawBytes: text };
};

const gemini: Dialect = (said, isStream) => {
  const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 };
  const answer = (parts: object[], rest: object = {}) => ({
    candidates: [{ content: { role: 'model', parts }, index: 0, ...rest }],
    usageMetadata,
  });
  const end = { finishReason: 'STOP' };
  const call = 'call' in said ? [{ functionCall: { name: said.call.name, args: said.call.input } }] : [];
  if (!isStream) return { body: answer('call' in said ? call : [{ text: whole(said) }], end) };
  const parts = 'call' in said ? [call] : said.text.map((text) => [{ text }]);
  return { sse: parts.map((each, at) => JSON.stringify(answer(each, at + 1 === parts.length ? end : {}))) };
};

const cohere: Dialect = (said, isStream) => {
  const usage = {
    billed_units: { input_tokens: 10, output_tokens: 5 },
    tokens: { input_tokens: 70, output_tokens: 9 },
  };
  const finish = 'call' in said ? 'TOOL_CALL' : 'COMPLETE';
  const written = 'call' in said ? JSON.stringify(said.call.input) : '';
  const call = (text: string) =>
    'call' in said ? { id: 'call_1', type: 'function', function: { name: said.call.name, arguments: text } } : {};
  if (!isStream) {
    const message =
      'call' in said ? { tool_calls: [call(written)] } : { content: [{ type: 'text', text: whole(said) }] };
    return { body: { id: 'x', finish_reason: finish, message: { role: 'assistant', ...message }, usage } };
  }
  const events =
    'call' in said
      ? [
          { type: 'tool-call-start', index: 0, delta: { message: { tool_calls: call('') } } },
          {
            type: 'tool-call-delta',
            index: 0,
            delta: { message: { tool_calls: { function: { arguments: written } } } },
          },
          { type: 'tool-call-end', index: 0 },
        ]
      : [
          { type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: '' } } } },
          ...said.text.map((text) => ({ type: 'content-delta', index: 0, delta: { message: { content: { text } } } })),
          { type: 'content-end', index: 0 },
        ];
  const all = [
    { type: 'message-start', id: 'x', delta: { message: { role: 'assistant' } } },
    ...events,
    { type: 'message-end', delta: { finish_reason: finish, usage } },
  ];
  return { sse: all.map((event) => JSON.stringify(event)) };
};

const bedrock: Dialect = (said, isStream) => {
  const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15 };
  const stopReason = 'call' in said ? 'tool_use' : 'end_turn';
  if (!isStream) {
    const block = 'call' in said ? { toolUse: { toolUseId: 'call_1', ...said.call } } : { text: whole(said) };
    return { body: { output: { message: { role: 'assistant', content: [block] } }, stopReason, usage } };
  }
  const delta = (value: object) => converseEvent('contentBlockDelta', { contentBlockIndex: 0, delta: value });
  const blocks =
    'call' in said
      ? [
          converseEvent('contentBlockStart', {
            contentBlockIndex: 0,
            start: { toolUse: { toolUseId: 'call_1', name: said.call.name } },
          }),
          delta({ toolUse: { input: JSON.stringify(said.call.input) } }),
        ]
      : said.text.map((text) => delta({ text }));
  const messages = [
    converseEvent('messageStart', { role: 'assistant' }),
    ...blocks,
    converseEvent('contentBlockStop', { contentBlockIndex: 0 }),
    converseEvent('messageStop', { stopReason }),
    converseEvent('metadata', { usage }),
  ];
  return { headers: { 'content-type': 'application/vnd.amazon.eventstream' }, rawBytes: Buffer.concat(messages) };
};

/** By provider type; `openai_compatible` answers as Text Generation Inference does. */
export const DIALECTS = {
  claude,
  gemini,
  cohere,
  bedrock,
  together: openAi({ argumentsAs: 'text', end: 'mark' }),
  fireworks: openAi({ argumentsAs: 'text', end: 'mark' }),
  openai_compatible: openAi({ argumentsAs: 'object', end: 'none' }),
} satisfies Record<string, Dialect>;

/** True when the request asks for a stream, in whatever way its dialect asks. */
export function asksForStream({ path, body }: RecordedRequest): boolean {
  return /converse-stream$|:streamGenerateContent/.test(path) || /"stream":\s*true/.test(body);
}
