import { describe, expect, it } from 'vitest';
import type { TaskHelper } from '../../../src/domain/provider.js';
import type { Task } from '../../../src/domain/task.js';
import { gemini } from '../../../src/providers/gemini/adapter.js';
import { answerOf, aTarget } from '../../conformance/adapters.js';
import { aUnitRequest } from '../../conformance/unit-tasks.js';

/** Images and speech of Gemini: what they have no place for, and what was held back. */

const request = (task: Task, rest: object) =>
  aUnitRequest(task, { json: { model: 'm', [task === 'image' ? 'prompt' : 'input']: 'a boat', ...rest } });
const prepare = (task: Task, rest: object, target: object = {}) =>
  (gemini.tasks[task] as TaskHelper).preparePayload(request(task, rest), aTarget(gemini, target));

describe('what has no place', () => {
  it.each([
    ['image', 'n', 2],
    ['image', 'size', '1792x1024'],
    ['image', 'size', 'large'],
    ['image', 'quality', 'hd'],
    ['image', 'response_format', 'url'],
    ['speech', 'response_format', 'mp3'],
    ['speech', 'instructions', 'slowly'],
    ['speech', 'speed', 2],
  ] as const)('of %s is refused: %s', (task, param, value) => {
    const refused = expect.objectContaining({ code: 'invalid_request', param });
    expect(() => prepare(task, { [param]: value })).toThrow(refused);
    expect(() => prepare(task, { [param]: value }, { dropParams: [param] })).not.toThrow();
  });

  it('is another ratio for Imagen, which makes several images and one where no number is told', () => {
    const imagen = { providerModel: 'models/imagen-4.0-fast-generate-001' };
    const refused = expect.objectContaining({ param: 'size' });
    expect(() => prepare('image', { size: '1536x1024' }, imagen)).toThrow(refused);
    const body = JSON.parse(prepare('image', { size: 'auto' }, imagen).body as string) as object;
    expect(body).toEqual({ instances: [{ prompt: 'a boat' }], parameters: { sampleCount: 1 } });
  });
});

describe('an answer that was held back', () => {
  const read = (body: string, target: object = {}) =>
    (gemini.tasks.image as TaskHelper).getResponse(answerOf(body), request('image', {}), aTarget(gemini, target));

  it.each([
    ['{"promptFeedback":{"blockReason":"SAFETY"}}', {}, 'SAFETY'],
    ['{"candidates":[{"finishReason":"IMAGE_SAFETY","finishMessage":"no boats"}]}', {}, 'no boats'],
    ['{"predictions":[{"raiFilteredReason":"no boats"}]}', { providerModel: 'imagen-4' }, 'no boats'],
  ])('is told as such, and asked of no one else: %s', (body, target, said) => {
    const outcome = read(body, target);
    if (outcome.ok) expect.unreachable('taken for an image');
    expect(outcome.fault).toMatchObject({ kind: 'status', status: 400, code: 'content_filter', param: 'prompt' });
    expect(outcome.fault.message).toContain(said);
  });

  it('costs what it used', () => {
    const body =
      '{"candidates":[{"finishReason":"IMAGE_SAFETY"}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}';
    const outcome = read(body);
    expect(outcome.ok ? null : outcome.usage?.counts).toMatchObject({ input: 4 });
  });
});
