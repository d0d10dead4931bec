import { expect, it } from 'vitest';
import type { ProviderAdapter, StreamReader, UpstreamAnswer } from '../../../src/domain/provider.js';
import type { TaskRequest } from '../../../src/domain/task.js';
import { guarded } from '../../../src/providers/external/guarded-adapter.js';
import { openai } from '../../../src/providers/openai.js';

const said: string[] = [];
const FILE = { 'content-type': 'audio/mpeg' };

/** OpenAI's adapter as a module would export it, its speech changed. */
function withSpeech(change: object): ProviderAdapter {
  const speech = { ...openai.tasks.speech, ...change };
  return guarded({ ...openai, tasks: { speech } } as ProviderAdapter, './mine.js', (message) => said.push(message));
}

it('lets files pass as they come', () => {
  expect(withSpeech({}).tasks.speech?.relays?.(FILE)).toBe(openai.tasks.speech?.relays?.(FILE));
  expect(withSpeech({}).tasks.speech?.relays?.(FILE)).toBe('audio/mpeg');
  expect(withSpeech({ relays: undefined }).tasks.speech?.relays).toBeUndefined();
});

it.each([
  ['throws', () => JSON.parse('')],
  ['gives a header that cannot be sent', () => 'audio/\nmpeg'],
  ['gives something else', () => 7],
])('reads a file first where the module’s function %s', (_what, relays) => {
  said.length = 0;
  expect(withSpeech({ relays }).tasks.speech?.relays?.(FILE)).toBeNull();
  expect(said).toEqual([expect.stringContaining('./mine.js failed in tasks.speech.relays')]);
});

it('does not believe that a module keeps nothing of what it was given', () => {
  const answer = { body: '{}', usage: null, outputTexts: () => [], recyclable: true };
  const { speech } = withSpeech({ getResponse: () => ({ ok: true, answer }) }).tasks;
  const outcome = speech?.getResponse({} as UpstreamAnswer, {} as TaskRequest, { providerModel: 'm' } as never);
  expect(outcome).toMatchObject({ ok: true, answer: { body: '{}' } });
  expect(outcome).not.toHaveProperty('answer.recyclable');
});

it.each([
  [64, 64],
  [undefined, undefined],
  [-1, undefined],
  ['much', undefined],
])('takes over the largest event there may be: %s', (given, taken) => {
  const openStream = () => ({ maxEventBytes: given }) as unknown as StreamReader;
  const { speech } = withSpeech({ openStream }).tasks;
  const reader = speech?.openStream?.({} as TaskRequest, { providerModel: 'm' } as never);
  expect(reader?.maxEventBytes).toBe(taken);
});
