import { describe, expect, it } from 'vitest';
import type { TaskHelper } from '../../../src/domain/provider.js';
import type { FormStep, Task } from '../../../src/domain/task.js';
import { huggingface } from '../../../src/providers/huggingface/adapter.js';
import { aTarget } from '../../conformance/adapters.js';
import { aForm, aUnitRequest, textOf, type UnitTaskFixture } from '../../conformance/unit-tasks.js';

/** OpenAI's images, speech and transcriptions at Hugging Face: what has no place there is refused by name. */

const target = aTarget(huggingface);
const prepare = (task: Task, request: UnitTaskFixture['request'], rest: object = {}) =>
  (huggingface.tasks[task] as TaskHelper).preparePayload(aUnitRequest(task, request), { ...target, ...rest });

const file = (filename: string, contentType: string): FormStep[] => [
  { kind: 'file', name: 'file', filename, contentType },
  { kind: 'bytes', bytes: Buffer.from('sound') },
];
const field = (name: string, value: string): FormStep => ({ kind: 'field', name, value });

describe('an image', () => {
  const asked = (rest: object) => ({ json: { model: 'm', prompt: 'a boat', ...rest } });

  it.each([
    ['n', 2],
    ['quality', 'hd'],
    ['style', 'vivid'],
    ['background', 'transparent'],
    ['output_format', 'webp'],
    ['response_format', 'url'],
    ['size', 'large'],
  ])('cannot have %s', (param, value) => {
    const refused = expect.objectContaining({ code: 'invalid_request', param });
    expect(() => prepare('image', asked({ [param]: value }))).toThrow(refused);
    expect(() => prepare('image', asked({ [param]: value }), { dropParams: [param] })).not.toThrow();
  });

  it('takes what asks for nothing, and what the model itself knows', async () => {
    const usual = { n: 1, quality: 'auto', background: 'auto', size: 'auto', response_format: null };
    expect(JSON.parse(await textOf(prepare('image', asked(usual))))).toEqual({ inputs: 'a boat' });
    const own = { negative_prompt: 'fog', num_inference_steps: 4 };
    expect(JSON.parse(await textOf(prepare('image', asked(own))))).toEqual({ inputs: 'a boat', parameters: own });
  });
});

describe('speech', () => {
  it.each(['voice', 'response_format', 'instructions'])('cannot have %s, which the config can leave out', (param) => {
    const request = { json: { model: 'm', input: 'Hi', [param]: 'x' } };
    expect(() => prepare('speech', request)).toThrow(expect.objectContaining({ code: 'invalid_request', param }));
    expect(() => prepare('speech', request, { dropParams: [param] })).not.toThrow();
  });
});

describe('a transcription', () => {
  it.each(['language', 'prompt', 'timestamp_granularities[]', 'temperature'])('cannot have %s', (param) => {
    const request = { whole: true, form: [field(param, '0.5'), ...file('a.wav', 'audio/wav')] };
    const refused = expect.objectContaining({ code: 'invalid_request', param });
    expect(() => prepare('transcription', request)).toThrow(refused);
    expect(() => prepare('transcription', request, { dropParams: [param] })).not.toThrow();
  });

  it.each([
    ['a.wav', 'audio/x-wav', 'audio/x-wav'],
    ['a.MP3', 'application/octet-stream', 'audio/mpeg'],
    ['blob', 'application/octet-stream', 'application/octet-stream'],
  ])('of %s as %s is sent as %s', (name, told, contentType) => {
    expect(prepare('transcription', { whole: true, form: file(name, told) })).toMatchObject({
      kind: 'bytes',
      contentType,
    });
  });

  it('is passed along while it comes, without its fields, and broken off by one that cannot be', async () => {
    const helper = huggingface.tasks.transcription as TaskHelper;
    const sent = async (steps: readonly FormStep[]) => {
      const carried = aForm(steps);
      await carried.head();
      const ask = { ...aUnitRequest('transcription', { form: [] }), carried };
      const payload = helper.preparePayload(ask, target);
      expect(payload).toMatchObject({ kind: 'stream', contentType: 'audio/wav' });
      return textOf(payload);
    };
    const wav = file('a.wav', 'audio/wav');
    expect(await sent([field('model', 'm'), ...wav, field('response_format', 'json')])).toBe('sound');
    expect(await sent([...wav, ...file('b.wav', 'audio/wav')])).toBe('sound');
    const late = sent([...wav, field('language', 'de')]);
    await expect(late).rejects.toMatchObject({ code: 'invalid_request', param: 'language' });
  });
});
