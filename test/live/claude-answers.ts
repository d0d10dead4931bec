import { blockDelta, blockStart, blockStop, claudeSse, claudeStart, messageDelta } from '../conformance/claude.js';
import type { UpstreamStep } from '../support/scripted-upstream.js';

const USAGE = { input_tokens: 20, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 9 };
const CALL = { type: 'tool_use', id: 'toolu_1', name: 'get_weather' };

/** What Anthropic's Messages API answers to the cases of chat: a call where there are tools, JSON where it is wanted. */
export function claudeAnswer({ body }: { body: string }): UpstreamStep {
  const {
    stream,
    tools,
    output_config: output,
  } = JSON.parse(body) as {
    stream?: boolean;
    tools?: unknown;
    output_config?: { format?: unknown };
  };
  const text = output?.format === undefined ? 'Hello from Lisbon.' : '{"city":"Lisbon","country":"Portugal"}';
  const reason = tools === undefined ? 'end_turn' : 'tool_use';
  if (stream !== true) {
    const content = tools === undefined ? { type: 'text', text } : { ...CALL, input: { city: 'Lisbon' } };
    const { message } = claudeStart(USAGE, { content: [content], stop_reason: reason }) as unknown as {
      message: object;
    };
    return { rawBytes: JSON.stringify(message) };
  }
  const parts =
    tools === undefined
      ? [blockStart(0, { type: 'text', text: '' }), blockDelta(0, { type: 'text_delta', text })]
      : [
          blockStart(0, { ...CALL, input: {} }),
          blockDelta(0, { type: 'input_json_delta', partial_json: '{"city":' }),
          blockDelta(0, { type: 'input_json_delta', partial_json: '"Lisbon"}' }),
        ];
  const events = [
    claudeStart({ ...USAGE, output_tokens: 1 }),
    ...parts,
    blockStop(0),
    messageDelta(reason, { output_tokens: 9 }),
    { type: 'message_stop' },
  ];
  return { headers: { 'content-type': 'text/event-stream; charset=utf-8' }, rawBytes: claudeSse(...events) };
}
