import { describe, expect, it } from 'vitest';
import type { AnswerOutcome, Payload, ProviderAdapter, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { CarriedForm, FormStep, JsonBody, Task, TaskRequest } from '../../src/domain/task.js';
import type { UsageCounts } from '../../src/domain/usage.js';
import { SpooledForm } from '../../src/http/spooled-form.js';
import { parseJsonBody } from '../../src/wire/json-body.js';
import { answerTextOf } from '../support/answer-text.js';
import { finished } from '../support/finished.js';
import { aTarget, counts } from './adapters.js';

/** What an adapter must make of one exchange of a task that is not text or vectors. */
export interface UnitTaskFixture {
  name: string;
  target?: Partial<UpstreamTarget>;
  /** JSON, bytes, or a form; `model` is `asked-model` where the dialect has one. */
  request: { json: object } | { bytes: Buffer; contentType: string } | { form: readonly FormStep[]; whole?: boolean };
  sends: { path: string; json?: object; bytes?: Buffer; form?: string };
  /** There is no place for what the config adds, and the model stands in the path. */
  isBare?: true;
  answer: {
    body: string | Buffer;
    contentType: string;
    usage: Partial<UsageCounts> | null;
    texts?: string[];
    /** What the client gets; left out where it is the provider's body as it came. */
    gives?: unknown;
    /** The same where it is no JSON. */
    givesBytes?: string | Buffer;
    /** Its content type, where it is not the provider's. */
    givesType?: string;
  };
  /** Bodies that are no answer: `[what, body, content type]`. */
  malformed: ReadonlyArray<readonly [string, string, string]>;
}

const JSON_TYPE = 'application/json';

export function describeUnitTask(adapter: ProviderAdapter, task: Task, fixture: UnitTaskFixture): void {
  const helper = adapter.tasks[task] as TaskHelper;
  const target = aTarget(adapter, fixture.target);
  const request = aUnitRequest(task, fixture.request);

  describe(`${adapter.id}: ${fixture.name}`, () => {
    it('asks at the right place', () => {
      const route = helper.makeRoute(request, target);
      expect(route.method).toBe('POST');
      expect(new URL(route.url).pathname).toBe(fixture.sends.path);
    });

    it('sends exactly one body, with the provider’s name of the model, and nothing of the client’s lost', async () => {
      const asked = aUnitRequest(task, fixture.request);
      const payload = helper.preparePayload(asked, target);
      const { json, bytes, form } = fixture.sends;
      if (json !== undefined) {
        expect(payload.kind).toBe('json');
        expect(JSON.parse(payload.body as string)).toEqual(json);
      }
      if (bytes !== undefined) expect(payload).toMatchObject({ kind: 'bytes', body: bytes });
      if (form !== undefined) expect(await textOf(payload)).toBe(form);
    });

    if (!fixture.answer.contentType.includes('json')) {
      it('asks for an answer that is no JSON', () => {
        // What the router asks for where a helper says nothing.
        const { accept = 'application/json' } = helper.prepareHeaders?.(request, target) ?? {};
        expect(accept).toBe('*/*');
      });
    }

    it('is pure: the same twice, and the request as it was', async () => {
      const before = structuredClone(request.body.value);
      const first = await textOf(helper.preparePayload(aUnitRequest(task, fixture.request), target));
      expect(await textOf(helper.preparePayload(aUnitRequest(task, fixture.request), target))).toBe(first);
      expect(request.body.value).toEqual(before);
    });

    const { form } = fixture.sends;
    if (form !== undefined) {
      it('sends a form that came whole with its length, and one that is on its way as it comes', async () => {
        const asked = aUnitRequest(task, fixture.request);
        expect(helper.preparePayload(asked, target).kind).toBe('stream');
        await (asked.carried as SpooledForm).readWhole();
        const payload = helper.preparePayload(asked, target);
        expect(payload.kind).toBe('bytes');
        expect(await textOf(payload)).toBe(form);
      });
    }

    if (!('bytes' in fixture.request) && fixture.isBare !== true) {
      it('sends what the config adds under the client’s own, and leaves out what it drops', async () => {
        const changed = aTarget(adapter, {
          ...fixture.target,
          extraBody: { added: 'by-config', kept: 'by-config' },
          dropParams: ['dropped'],
        });
        const asked = aUnitRequest(task, withMore(fixture.request));
        const text = await textOf(helper.preparePayload(asked, changed));
        expect(text).toContain('added');
        expect(text).toContain('by-client');
        expect(text.split('by-config')).toHaveLength(2);
        expect(text).not.toContain('dropped');
      });
    }

    it('gives the answer in the client’s shape, with its usage and its text', () => {
      const { body, contentType, usage, texts = [], gives, givesBytes, givesType = contentType } = fixture.answer;
      const outcome = read(helper, request, target, body, contentType);
      if (!outcome.ok) expect.unreachable(outcome.fault.message);
      const { answer } = outcome;
      if (gives !== undefined) expect(JSON.parse(answerTextOf(answer.body))).toEqual(gives);
      else expect(Buffer.from(answer.body as string)).toEqual(Buffer.from((givesBytes ?? body) as string));
      expect(answer.contentType).toContain(givesType.split(';')[0]);
      expect(answer.usage?.counts ?? null).toEqual(counts(usage));
      expect(answer.outputTexts()).toEqual(texts);
    });

    it.each(fixture.malformed)('takes %s for malformed', (_what, body, contentType) => {
      expect(faultOf(read(helper, request, target, body, contentType)).kind).toBe('malformed');
    });

    it.each([
      ['{"error":{"message":"too busy","type":"server_error"}}', 500],
      ['{"error":{"message":"too busy","code":429}}', 429],
      ['{"error":"too busy","error_type":"overloaded"}', 503],
    ])('takes an error inside a 200 for that error: %s', (body, status) => {
      const fault = faultOf(read(helper, request, target, body, JSON_TYPE));
      expect(fault).toMatchObject({ kind: 'status', status, message: 'too busy' });
    });
  });
}

/** A request as the routes make it. */
export function aUnitRequest(task: Task, given: UnitTaskFixture['request']): TaskRequest {
  const ask = { task, stream: false, includeUsage: false };
  if ('json' in given) return { ...ask, body: parseJsonBody(JSON.stringify(given.json)) };
  if ('bytes' in given) {
    const { bytes, contentType } = given;
    return { ...ask, body: jsonOf({}), carried: { kind: 'bytes', bytes, contentType, audioMs: null } };
  }
  const fields = given.form.flatMap((step) => (step.kind === 'field' ? [[step.name, step.value]] : []));
  const carried = given.whole === true ? aWholeForm(given.form) : aForm(given.form);
  return { ...ask, body: jsonOf(Object.fromEntries(fields)), carried };
}

/** A form that was read before it is sent. */
function aWholeForm(steps: readonly FormStep[]): CarriedForm {
  return {
    kind: 'form',
    boundary: 'the-boundary',
    read: () => aForm(steps).read(),
    isSpent: false,
    whole: steps,
    file: steps.find((step) => step.kind === 'file') ?? null,
    fileBytes: () => steps.reduce((sum, step) => sum + (step.kind === 'bytes' ? step.bytes.length : 0), 0),
    audioMs: null,
  };
}

/** A form whose steps come as they are given. */
export function aForm(steps: readonly FormStep[], keptBytes = 1_000_000): SpooledForm {
  const source = (async function* () {
    yield* steps;
  })();
  return new SpooledForm({ boundary: 'the-boundary', source, keptBytes, mostBytes: 1_000_000 });
}

function jsonOf(value: object): JsonBody {
  return parseJsonBody(JSON.stringify(value));
}

function withMore(request: UnitTaskFixture['request']): UnitTaskFixture['request'] {
  if ('json' in request) return { json: { ...request.json, kept: 'by-client', dropped: 'dropped' } };
  if (!('form' in request)) return request;
  const field = (name: string, value: string): FormStep => ({ kind: 'field', name, value });
  return { ...request, form: [...request.form, field('kept', 'by-client'), field('dropped', 'dropped')] };
}

export async function textOf(payload: Payload): Promise<string> {
  if (payload.kind === 'json') return payload.body;
  if (payload.kind === 'bytes') return Buffer.from(payload.body).toString('latin1');
  const parts: Buffer[] = [];
  for await (const part of payload.body()) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString('latin1');
}

function read(
  helper: TaskHelper,
  request: TaskRequest,
  target: UpstreamTarget,
  body: string | Buffer,
  contentType: string,
): AnswerOutcome {
  const headers = { 'content-type': contentType };
  return finished(helper.getResponse({ status: 200, headers, body: Buffer.from(body as string) }, request, target));
}

function faultOf(outcome: AnswerOutcome) {
  if (outcome.ok) expect.unreachable('the answer is taken for a good one');
  return outcome.fault;
}
