import { ADAPTER_FAILED } from '../../domain/failure.js';
import type { AnswerOutcome, HeaderFields, ProviderAdapter, TaskHelper, Unfinished } from '../../domain/provider.js';
import type { Task } from '../../domain/task.js';
import type { ExternalAdapter } from './adapter-shape.js';
import { Guard, type OnThrow } from './guard.js';
import { GuardedReader } from './guarded-reader.js';
import {
  checkedContentType,
  checkedHeaders,
  checkedOutcome,
  checkedPayload,
  checkedRoute,
  checkedVerdict,
  textOf,
  textsOf,
} from './results.js';

/**
 * An adapter that is not ours, so that whatever its functions throw or give back ends one attempt, or is done without, and
 * nothing else.
 */
export function guarded(adapter: ExternalAdapter, type: string, onThrow: OnThrow): ProviderAdapter {
  const guard = new Guard(type, onThrow);
  const { sign, secretsIn, baseUrlFor, classify, hint, checkEntry, listModels } = adapter;
  const tasks: ProviderAdapter['tasks'] = {};
  for (const [task, helper] of Object.entries(adapter.tasks)) {
    tasks[task as Task] = guardedHelper(helper, `tasks.${task}`, guard);
  }
  return {
    id: adapter.id,
    ...(adapter.aliases === undefined ? {} : { aliases: adapter.aliases }),
    baseUrl: adapter.baseUrl,
    docs: adapter.docs ?? '',
    needsKey: adapter.needsKey,
    defaultRates: adapter.defaultRates ?? null,
    tasks,
    authenticate: (key) => guard.must('authenticate', () => checkedHeaders(adapter.authenticate(key))),
    sampleConfig: () => adapter.sampleConfig?.() ?? {},
    classify: (failure) =>
      failure.code === ADAPTER_FAILED
        ? { action: 'fall-back' }
        : guard.may(
            'classify',
            () => checkedVerdict(classify?.call(adapter, failure)),
            () => undefined,
          ),
    ...(sign === undefined ? {} : { sign: (request, key) => signed(guard, () => sign.call(adapter, request, key)) }),
    ...(secretsIn === undefined
      ? {}
      : { secretsIn: (key) => guard.must('secretsIn', () => textsOf(secretsIn.call(adapter, key))) }),
    ...(baseUrlFor === undefined
      ? {}
      : {
          baseUrlFor: (entry) =>
            guard.may(
              'baseUrlFor',
              () => baseUrlFor.call(adapter, entry),
              () => null,
            ),
        }),
    ...(hint === undefined
      ? {}
      : {
          hint: (failure, target) =>
            guard.may(
              'hint',
              () => textOf(hint.call(adapter, failure, target)),
              () => undefined,
            ),
        }),
    ...(checkEntry === undefined
      ? {}
      : {
          checkEntry: (entry) =>
            guard.may(
              'checkEntry',
              () => textsOf(checkEntry.call(adapter, entry)),
              (message) => [message],
            ),
        }),
    ...(listModels === undefined ? {} : { listModels }),
  };
}

function guardedHelper(helper: TaskHelper, where: string, guard: Guard): TaskHelper {
  const { prepareHeaders, openStream, relays } = helper;
  const predicts = helper.predicts === true;
  const texts = (call: () => string[]): string[] =>
    guard.may(
      `${where}.outputTexts`,
      () => textsOf(call()),
      () => [],
    );
  return {
    makeRoute: (request, target) =>
      guard.must(`${where}.makeRoute`, () => checkedRoute(helper.makeRoute(request, target))),
    preparePayload: (request, target) =>
      guard.must(`${where}.preparePayload`, () => checkedPayload(helper.preparePayload(request, target))),
    getResponse: (answer, request, target) =>
      guard.read<AnswerOutcome | Unfinished>(
        `${where}.getResponse`,
        () => checkedOutcome(helper.getResponse(answer, request, target), { predicts, texts }),
        (fault) => ({ ok: false, fault, usage: null }),
      ),
    ...(predicts ? { predicts } : {}),
    ...(prepareHeaders === undefined
      ? {}
      : {
          prepareHeaders: (request, target) =>
            guard.must(`${where}.prepareHeaders`, () => checkedHeaders(prepareHeaders.call(helper, request, target))),
        }),
    ...(relays === undefined
      ? {}
      : {
          relays: (headers) =>
            guard.may(
              `${where}.relays`,
              () => checkedContentType(relays.call(helper, headers)),
              () => null,
            ),
        }),
    ...(openStream === undefined
      ? {}
      : {
          openStream: (request, target, headers, step) =>
            new GuardedReader(() => openStream.call(helper, request, target, headers, step), guard, {
              where: `${where}.openStream`,
              model: target.providerModel,
            }),
        }),
  };
}

async function signed(guard: Guard, sign: () => Promise<HeaderFields>): Promise<HeaderFields> {
  let outcome: { headers: HeaderFields } | { cause: unknown };
  try {
    outcome = { headers: await sign() };
  } catch (cause) {
    outcome = { cause };
  }
  return guard.must('sign', () => {
    if ('cause' in outcome) throw outcome.cause;
    return checkedHeaders(outcome.headers);
  });
}
