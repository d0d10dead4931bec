import { describe, expect, it } from 'vitest';
import type { TaskHelper } from '../../../src/domain/provider.js';
import type { Task } from '../../../src/domain/task.js';
import { MEDIA_TASKS } from '../../../src/providers/openai-media.js';
import { adapters, findAdapter } from '../../../src/providers/registry.js';
import { aTarget } from '../../conformance/adapters.js';
import { aUnitRequest, textOf } from '../../conformance/unit-tasks.js';

/** Where the tasks beside text live at each provider, and what each of them refuses. */

function helperOf(type: string, task: Task): { helper: TaskHelper; target: ReturnType<typeof aTarget> } {
  const adapter = findAdapter(type);
  const helper = adapter?.tasks[task];
  if (adapter === null || helper === undefined) throw new Error(`${type} does not do ${task}`);
  return { helper, target: aTarget(adapter) };
}

const speech = { json: { model: 'asked-model', input: 'Hello', voice: 'alloy' } };
const RECORDING = [
  { kind: 'file', name: 'file', filename: 'a.wav', contentType: 'audio/wav' },
  { kind: 'bytes', bytes: Buffer.from('RIFF') },
] as const;
const formWith = (name: string, value: string) => ({ form: [{ kind: 'field', name, value } as const, ...RECORDING] });

/** Tasks of pictures and sound by type; those with a `~` stream events. */
const TASKS: Record<string, string> = {
  huggingface: 'image speech transcription',
  gemini: 'image speech',
  replicate: 'image',
  openai: 'image~ image-edit~ image-variation speech~ transcription~ audio-translation moderation',
  openai_compatible: 'image~ image-edit~ image-variation speech~ transcription~ audio-translation moderation',
  sandbox: 'image~ image-edit~ image-variation speech~ transcription~ audio-translation moderation',
  azure_openai: 'image~ image-edit~ speech~ transcription~ audio-translation',
  mistral: 'transcription~ moderation',
  groq: 'speech transcription audio-translation',
  together: 'image speech transcription audio-translation',
  fireworks: 'transcription audio-translation',
  openrouter: 'speech',
  grok: 'image image-edit',
  deepinfra: 'image speech transcription audio-translation',
  nebius: 'image',
  ovhcloud: 'transcription',
};

it('each type has the tasks it documents, and no other', () => {
  for (const { id, tasks } of adapters) {
    const own = MEDIA_TASKS.filter((task) => tasks[task] !== undefined);
    const told = own.map((task) => (tasks[task]?.openStream === undefined ? task : `${task}~`)).join(' ');
    expect([id, told]).toEqual([id, TASKS[id] ?? '']);
  }
});

describe('the address of a task', () => {
  it.each([
    ['openai', 'image-edit', 'https://api.openai.com/v1/images/edits'],
    ['openai', 'image-variation', 'https://api.openai.com/v1/images/variations'],
    ['groq', 'speech', 'https://api.groq.com/openai/v1/audio/speech'],
    ['groq', 'audio-translation', 'https://api.groq.com/openai/v1/audio/translations'],
    ['together', 'rerank', 'https://api.together.ai/v1/rerank'],
    ['together', 'image', 'https://api.together.ai/v1/images/generations'],
    ['fireworks', 'transcription', 'https://audio-prod.api.fireworks.ai/v1/audio/transcriptions'],
    ['fireworks', 'rerank', 'https://api.fireworks.ai/inference/v1/rerank'],
    ['deepinfra', 'transcription', 'https://api.deepinfra.com/v1/openai/audio/transcriptions'],
    ['nebius', 'image', 'https://api.tokenfactory.nebius.com/v1/images/generations'],
    ['mistral', 'transcription', 'https://api.mistral.ai/v1/audio/transcriptions'],
    ['mistral', 'moderation', 'https://api.mistral.ai/v1/moderations'],
    ['grok', 'image-edit', 'https://api.x.ai/v1/images/edits'],
    ['openrouter', 'speech', 'https://openrouter.ai/api/v1/audio/speech'],
    ['ovhcloud', 'transcription', 'https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/audio/transcriptions'],
  ] as const)('of %s for %s', (type, task, url) => {
    const { helper, target } = helperOf(type, task);
    expect(helper.makeRoute(aUnitRequest(task, speech), target)).toEqual({ method: 'POST', url });
  });

  it('is that of a bare host too', () => {
    for (const [type, url] of [
      ['groq', 'http://127.0.0.1:9/openai/v1/audio/speech'],
      ['deepinfra', 'http://127.0.0.1:9/v1/openai/audio/speech'],
      ['openrouter', 'http://127.0.0.1:9/api/v1/audio/speech'],
    ] as const) {
      const { helper, target } = helperOf(type, 'speech');
      expect(helper.makeRoute(aUnitRequest('speech', speech), { ...target, baseUrl: 'http://127.0.0.1:9' }).url).toBe(
        url,
      );
    }
  });

  it('has a host of its own at Fireworks for the turbo model, and none where the config gives an address', () => {
    const { helper, target } = helperOf('fireworks', 'transcription');
    const at = (rest: object) => helper.makeRoute(aUnitRequest('transcription', speech), { ...target, ...rest }).url;
    expect(at({ providerModel: 'whisper-v3-turbo' })).toBe(
      'https://audio-turbo.api.fireworks.ai/v1/audio/transcriptions',
    );
    expect(at({ baseUrl: 'http://127.0.0.1:9/v1' })).toBe('http://127.0.0.1:9/v1/audio/transcriptions');
  });

  it('has the deployment in it at Azure, and the version', () => {
    const { helper, target } = helperOf('azure_openai', 'transcription');
    const at = (rest: object) =>
      helper.makeRoute(aUnitRequest('transcription', speech), {
        ...target,
        baseUrl: 'https://r.openai.azure.com',
        hasOwnPath: false,
        providerModel: 'my ear',
        ...rest,
      }).url;
    expect(at({ apiVersion: '2024-10-21' })).toBe(
      'https://r.openai.azure.com/openai/deployments/my%20ear/audio/transcriptions?api-version=2024-10-21',
    );
    expect(at({})).toBe('https://r.openai.azure.com/openai/v1/audio/transcriptions');
  });
});

describe('what a provider has not', () => {
  it.each([
    ['groq', 'response_format', 'srt'],
    ['together', 'response_format', 'text'],
    ['mistral', 'response_format', 'verbose_json'],
    ['mistral', 'prompt', 'harbour'],
  ])('%s refuses, by name: %s', (type, name, value) => {
    const { helper, target } = helperOf(type, 'transcription');
    const ask = aUnitRequest('transcription', formWith(name, value));
    const refused = expect.objectContaining({ code: 'invalid_request', param: name });
    expect(() => helper.preparePayload(ask, target)).toThrow(refused);
    expect(() => helper.preparePayload(ask, { ...target, dropParams: [name] })).not.toThrow();
  });

  it('is left out where it asks for nothing', async () => {
    const mistral = helperOf('mistral', 'transcription');
    const form = aUnitRequest('transcription', formWith('response_format', 'json'));
    expect(await textOf(mistral.helper.preparePayload(form, mistral.target))).not.toContain('response_format');
    const groq = helperOf('groq', 'speech');
    const asked = aUnitRequest('speech', { json: { ...speech.json, stream_format: 'audio' } });
    expect(await textOf(groq.helper.preparePayload(asked, groq.target))).not.toContain('stream_format');
  });

  it('xAI has no masks and no ids of files', () => {
    const { helper, target } = helperOf('grok', 'image-edit');
    const json = { model: 'asked-model', prompt: 'a', images: [{ file_id: 'file-1' }] };
    const ids = expect.objectContaining({ code: 'invalid_request', param: 'images[0]' });
    expect(() => helper.preparePayload(aUnitRequest('image-edit', { json }), target)).toThrow(ids);
    const mask = { kind: 'file', name: 'mask', filename: 'm.png', contentType: 'image/png' } as const;
    const masked = aUnitRequest('image-edit', { whole: true, form: [mask] });
    const masks = expect.objectContaining({ code: 'invalid_request', param: 'mask' });
    expect(() => helper.preparePayload(masked, target)).toThrow(masks);
    const named = { model: 'm', prompt: 'a', image: 'https://h/a.png', mask: { image_url: 'https://h/m.png' } };
    expect(() => helper.preparePayload(aUnitRequest('image-edit', { json: named }), target)).toThrow(masks);
  });

  it('Together has no size but its sides', async () => {
    const { helper, target } = helperOf('together', 'image');
    const sent = async (rest: object) => {
      const ask = aUnitRequest('image', { json: { model: 'asked-model', prompt: 'a', ...rest } });
      return JSON.parse(await textOf(helper.preparePayload(ask, target))) as object;
    };
    const base = { model: 'vendor/model-1', prompt: 'a' };
    expect(await sent({ size: 'auto' })).toEqual(base);
    expect(await sent({ size: '8x9', width: 7 })).toEqual({ ...base, width: 7, height: 9 });
    expect(await sent({ size: 'tall' })).toEqual({ ...base, size: 'tall' });
  });
});
