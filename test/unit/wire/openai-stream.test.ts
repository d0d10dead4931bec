import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamStep } from '../../../src/domain/provider.js';
import { parseJsonBody } from '../../../src/wire/json-body.js';
import { openTaskRequest } from '../../../src/wire/openai-request.js';
import { OpenAiStreamReader } from '../../../src/wire/openai-stream.js';
import { reasoningContent } from '../../../src/wire/reshape.js';

function openReader(extra: object = {}): OpenAiStreamReader {
  const body = { model: 'm', messages: [{ role: 'user', content: 'a' }], stream: true, ...extra };
  return new OpenAiStreamReader(openTaskRequest('chat', parseJsonBody(JSON.stringify(body))), {
    reasoningOutside: false,
  });
}

const say = (content: string, rest = '') =>
  `{"id":"c","created":1,"model":"m","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":null}]${rest}}`;
const finish = (rest = '', index = 0) =>
  `{"id":"c","created":1,"model":"m","choices":[{"index":${index},"delta":{},"finish_reason":"stop"}]${rest}}`;
const usage = (output: number) =>
  `"usage":{"prompt_tokens":3,"completion_tokens":${output},"total_tokens":${3 + output}}`;

function readAll(reader: OpenAiStreamReader, ...data: string[]): StreamStep[] {
  return data.map((text) => reader.read({ name: null, data: text }));
}

describe('OpenAiStreamReader', () => {
  it('passes chunks as they came', () => {
    const odd = '{ "choices" : [ {"delta":{"content":"x"}, "seed":14150443913665712001 , "extra":[1.0] } ] }';
    expect(readAll(openReader(), say('a'), odd)).toEqual([
      { kind: 'chunk', data: say('a'), content: true },
      { kind: 'chunk', data: odd, content: true },
    ]);
  });

  it('tells content from what comes before it', () => {
    const content = (delta: object) =>
      openReader().read({ name: null, data: JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] }) });
    for (const delta of [
      {},
      { role: 'assistant' },
      { role: 'assistant', content: '' },
      { content: null, tool_calls: [] },
    ]) {
      expect(content(delta)).toMatchObject({ kind: 'chunk', content: false });
    }
    for (const delta of [
      { content: 'x' },
      { reasoning: 'x' },
      { reasoning_content: 'x' },
      { refusal: 'x' },
      { tool_calls: [{}] },
    ]) {
      expect(content(delta)).toMatchObject({ kind: 'chunk', content: true });
    }
    expect(openReader().read({ name: null, data: finish() })).toMatchObject({ content: true });
  });

  it('keeps the usage chunk back, in the provider’s own words', () => {
    const reader = openReader();
    const chunk = `{"id":"c","choices":[],${usage(2)},"x":1}`;
    expect(readAll(reader, say('a'), finish(), chunk)[2]).toEqual({ kind: 'nothing' });
    expect(reader.usageChunk()).toBe(chunk);
    expect(reader.usage()?.counts).toMatchObject({ input: 3, output: 2 });
  });

  it('takes usage off the chunks it rides on, keeps the last, and makes a usage chunk of it', () => {
    const reader = openReader();
    const steps = readAll(reader, say('a', `,${usage(1)}`), say('b', `,${usage(2)}`), finish(`, ${usage(3)}, "z":1`));
    expect(steps.map((step) => step.kind === 'chunk' && step.data)).toEqual([say('a'), say('b'), finish(', "z":1')]);
    expect(reader.usage()?.counts).toMatchObject({ output: 3 });
    expect(JSON.parse(reader.usageChunk() ?? '')).toEqual({
      id: 'c',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
  });

  it('does not let a usage without figures take the place of one that has some', () => {
    const reader = openReader();
    readAll(
      reader,
      say('a', `,${usage(1)}`),
      `{"choices":[],"usage":{"prompt_tokens":null}}`,
      '{"choices":[],"usage":{}}',
    );
    expect(reader.usage()?.counts.output).toBe(1);
    expect(reader.usageChunk()).toContain('"completion_tokens":1');
  });

  it('leaves usage: null where it stands, and has no usage then', () => {
    const reader = openReader();
    expect(readAll(reader, say('a', ',"usage":null'), finish(',"usage": null'))).toMatchObject([
      { data: say('a', ',"usage":null') },
      { data: finish(',"usage": null') },
    ]);
    expect(reader.usage()).toBeNull();
    expect(reader.usageChunk()).toBeNull();
  });

  it('passes a chunk without choices on, and takes its name from one that has a name', () => {
    const reader = openReader();
    const azure = '{"id":"","model":"","object":"","created":0,"choices":[],"prompt_filter_results":[{}]}';
    expect(readAll(reader, azure)).toEqual([{ kind: 'chunk', data: azure, content: false }]);
    readAll(reader, say('a'));
    expect(reader.identity()).toEqual({ id: 'c', created: 1, model: 'm' });
  });

  it('drops named events that are no chunks, and reads chunks whatever they are named', () => {
    const reader = openReader();
    expect(reader.read({ name: 'ping', data: '{"message":"still here"}' })).toEqual({ kind: 'nothing' });
    expect(reader.read({ name: 'message', data: say('a') })).toEqual({ kind: 'chunk', data: say('a'), content: true });
    expect(reader.read({ name: 'message', data: '{"error":{"message":"x"}}' })).toMatchObject({ kind: 'fault' });
  });

  it('finds usage where Groq puts it', () => {
    const reader = openReader();
    readAll(reader, say('a'), finish(`,"x_groq":{"id":"r",${usage(4)}}`));
    expect(reader.usage()?.counts).toMatchObject({ input: 3, output: 4 });
  });

  it('is finished when every choice is, and by the end mark alone', () => {
    const two = openReader({ n: 2 });
    const choice = (index: number) => `{"choices":[{"index":${index},"delta":{"content":"x"},"finish_reason":null}]}`;
    readAll(two, choice(0), choice(1), choice(0), finish('', 0));
    expect(two.isFinished()).toBe(false);
    readAll(two, choice(1), finish('', 1));
    expect(two.isFinished()).toBe(true);
    const marked = openReader();
    expect(readAll(marked, say('a'), '[DONE]')[1]).toEqual({ kind: 'done' });
    expect(marked.isFinished()).toBe(true);
  });

  it('is not finished while a choice that was asked for has not begun', () => {
    const two = openReader({ n: 2 });
    readAll(two, say('a'), finish('', 0));
    expect(two.isFinished()).toBe(false);
    readAll(two, finish('', 1));
    expect(two.isFinished()).toBe(true);
    const cut = openReader({ n: 2 });
    readAll(cut, say('a'), finish('', 0), '[DONE]');
    expect(cut.isFinished()).toBe(true);
  });

  it('expects one choice of each prompt, however many the provider makes first', () => {
    const body = '{"model":"m","prompt":["a","b"],"best_of":3,"stream":true}';
    const reader = new OpenAiStreamReader(openTaskRequest('completion', parseJsonBody(body)), {
      reasoningOutside: false,
    });
    readAll(reader, finish('', 0));
    expect(reader.isFinished()).toBe(false);
    readAll(reader, finish('', 1));
    expect(reader.isFinished()).toBe(true);
  });

  it('keeps what an error says was used', () => {
    const reader = openReader();
    const [step] = readAll(reader, `{"error":{"message":"died","code":500},${usage(4)}}`);
    expect(step).toMatchObject({ kind: 'fault', fault: { status: 500 } });
    expect(reader.usage()?.counts).toMatchObject({ input: 3, output: 4 });
  });

  it('takes an empty finish reason for none, and any other for one', () => {
    const reader = openReader();
    readAll(reader, say('a').replace('null', '""'), say('b').replace('null', '""'));
    expect(reader.isFinished()).toBe(false);
    readAll(reader, say('c').replace('"finish_reason":null', '"finish_reason": "eos_token"'));
    expect(reader.isFinished()).toBe(true);
  });

  it('is not misled by what a text says', () => {
    const texts = [
      '"usage":{"prompt_tokens":1}',
      '"error":{"message":"x"}',
      '"finish_reason":"stop"',
      'usage',
      '[DONE]',
      '{"choices":',
    ];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...texts), fc.string({ minLength: 1 })), { minLength: 1 }),
        (said) => {
          const reader = openReader();
          const chunks = said.map((text) => say(text));
          expect(readAll(reader, ...chunks)).toEqual(chunks.map((data) => ({ kind: 'chunk', data, content: true })));
          expect(reader.isFinished()).toBe(false);
          expect(reader.usage()).toBeNull();
          expect(reader.outputTexts()).toEqual([said.join('')]);
        },
      ),
    );
  });

  it('takes an error for an error, before and after content', () => {
    const error = '{"error":{"message":"no room","type":"server_error"}}';
    expect(readAll(openReader(), error)).toMatchObject([{ kind: 'fault', fault: { status: 500, message: 'no room' } }]);
    expect(readAll(openReader(), say('a'), error)[1]).toMatchObject({ kind: 'fault', fault: { message: 'no room' } });
    const inside = say('', ',"error":{"code":502,"message":"provider died"}');
    expect(readAll(openReader(), say('a'), inside)[1]).toMatchObject({ kind: 'fault', fault: { status: 502 } });
    expect(readAll(openReader(), say('a', ',"error":null'))).toMatchObject([{ kind: 'chunk' }]);
    expect(openReader().read({ name: 'error', data: '{"message":"x"}' })).toMatchObject({
      kind: 'fault',
      fault: { message: 'x' },
    });
  });

  it('takes what is no JSON for malformed, unless the end cut it off or all is said', () => {
    expect(readAll(openReader(), 'hello')).toMatchObject([{ kind: 'fault', fault: { kind: 'malformed' } }]);
    expect(openReader().read({ name: null, data: '{"choices":[{"de', unterminated: true })).toEqual({
      kind: 'nothing',
    });
    expect(readAll(openReader(), say('a'), finish(), 'bye')[2]).toEqual({ kind: 'nothing' });
  });

  it('never passes a chunk on that the end of the stream cut off', () => {
    const reader = openReader();
    readAll(reader, say('a'));
    expect(reader.read({ name: null, data: say('bcd').slice(0, -1), unterminated: true })).toEqual({ kind: 'nothing' });
    expect(reader.read({ name: null, data: say('bcd'), unterminated: true })).toMatchObject({ kind: 'chunk' });
  });

  it('makes text of tool-call arguments that are an object', () => {
    const call = (args: string) =>
      `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":${args}}}]}}]}`;
    const reader = openReader();
    expect(readAll(reader, say('a'), call('{"x":1}'))[1]).toMatchObject({ data: call('"{\\"x\\":1}"') });
    expect(reader.outputTexts()).toEqual(['af{"x":1}']);
  });

  it('gathers what each choice wrote: text, thoughts, refusals and calls', () => {
    const reader = openReader({ n: 2 });
    const delta = (index: number, value: object) =>
      JSON.stringify({ choices: [{ index, text: 'again', delta: value }] });
    readAll(
      reader,
      delta(0, { reasoning: 'hm ' }),
      delta(1, { content: 'two' }),
      delta(0, { content: 'one', reasoning: null }),
      delta(0, { tool_calls: [{ function: { name: 'f', arguments: '{' } }] }),
      delta(0, { tool_calls: [{ function: { arguments: '}' } }] }),
    );
    expect(reader.outputTexts()).toEqual(['hm onef{}', 'two']);
  });
});

describe('a block of whole events', () => {
  const event = (data: string) => `data: ${data}\n\n`;
  const passes = (reader: OpenAiStreamReader, text: string) => {
    const bytes = Buffer.from(text);
    return reader.passes(bytes.toString('latin1'), bytes);
  };
  const begun = () => {
    const reader = openReader();
    readAll(reader, say('a'));
    return reader;
  };

  it('passes as it is after the first content, and its text is counted', () => {
    const reader = begun();
    expect(passes(reader, event(say('é 🚂')) + event(say(' "x"\n')))).toBe(true);
    expect(passes(reader, event(say('z')))).toBe(true);
    expect(reader.outputTexts()).toEqual(['aé 🚂 "x"\nz']);
    expect(reader.isFinished()).toBe(false);
  });

  it('does not pass before the first content, nor where several choices are asked for', () => {
    expect(passes(openReader(), event(say('a')))).toBe(false);
    const several = openReader({ n: 2 });
    readAll(several, say('a'));
    expect(passes(several, event(say('b')))).toBe(false);
  });

  it('does not pass where something in it has another shape than OpenAI’s', () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'a' }], stream: true };
    const reader = new OpenAiStreamReader(openTaskRequest('chat', parseJsonBody(JSON.stringify(body))), {
      reasoningOutside: false,
      reshapes: [reasoningContent],
    });
    readAll(reader, say('a'));
    expect(passes(reader, event(say('b')) + event('{"choices":[{"index":0,"delta":{"reasoning":"c"}}]}'))).toBe(false);
    expect(passes(reader, event(say('b')))).toBe(true);
  });

  it.each([
    ['a finish reason', event(say('a')) + event(finish())],
    ['usage', event(say('a', `,${usage(2)}`))],
    ['an error', event('{"error":{"message":"no"},"choices":[]}')],
    ['arguments that are an object', event('{"choices":[{"delta":{"tool_calls":[{"function":{"arguments": {}}}]}}]}')],
    ['the end mark', event(say('a')) + event('[DONE]')],
    ['an event without choices', event('{"type":"ping"}') + event(say('a'))],
    ['an event without choices at its end', event(say('a')) + event('{"type":"ping"}')],
    ['a comment', `: hello\n\n${event(say('a'))}`],
    ['a name', `event: chunk\n${event(say('a'))}`],
    ['other line ends', event(say('a')).replaceAll('\n', '\r\n')],
    ['no space after the colon', event(say('a')).replace('data: ', 'data:')],
    ['two data lines', `data: {"choices":\ndata: []}\n\n`],
    ['half an event', event(say('a')).slice(0, -1)],
    ['the rest of an event', event(say('a')).slice(9)],
    ['something after the object', event(`${say('a')} `)],
  ])('does not pass with %s', (_, block) => {
    const reader = begun();
    expect(passes(reader, block)).toBe(false);
    expect(reader.outputTexts()).toEqual(['a']);
  });
});
