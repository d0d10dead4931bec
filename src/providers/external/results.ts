import type { Verdict } from '../../domain/failure.js';
import type {
  AnswerOutcome,
  HeaderFields,
  NextStep,
  Payload,
  StreamStep,
  Unfinished,
  UpstreamRoute,
} from '../../domain/provider.js';
import { isCount, noCounts, USAGE_CLASSES, type UsageReport } from '../../domain/usage.js';

/**
 * What functions of an adapter that is not ours gave back, as far as the router relies on it.
 * Each @throws Error that says what was expected.
 */

export function checkedRoute(route: UpstreamRoute): UpstreamRoute {
  return isRoute(route) ? route : wrong('{ method: GET or POST, url: an absolute URL }');
}

export function checkedPayload(payload: Payload): Payload {
  if (isObject(payload)) {
    if (payload.kind === 'json' && typeof payload.body === 'string') return payload;
    const hasType = 'contentType' in payload && typeof payload.contentType === 'string';
    if (payload.kind === 'bytes' && payload.body instanceof Uint8Array && hasType) return payload;
    if (payload.kind === 'stream' && typeof payload.body === 'function' && hasType) return payload;
  }
  return wrong('{ kind: json, body: text }, or bytes or a stream with a contentType');
}

export function checkedHeaders(headers: HeaderFields): HeaderFields {
  const isHeaders = isObject(headers) && Object.values(headers).every((value) => typeof value === 'string');
  return isHeaders ? headers : wrong('header names to texts');
}

/** `outputTexts` is called later, and then guarded by `texts`. Only what says that it predicts may answer later. */
export function checkedOutcome(
  outcome: AnswerOutcome | Unfinished,
  { predicts, texts }: { predicts: boolean; texts: (call: () => string[]) => string[] },
): AnswerOutcome | Unfinished {
  if (!isObject(outcome)) return wrong(OUTCOMES);
  if (outcome.ok === 'later') {
    if (!predicts) return wrong('an answer: a helper that begins predictions says so by `predicts: true`');
    return isStep(outcome.next) ? outcome : wrong('{ ok: later, next: { id, route, afterMs, cancel } }');
  }
  if (outcome.ok === false && isObject(outcome.fault)) return { ...outcome, usage: checkedUsage(outcome.usage) };
  if (outcome.ok === true && isObject(outcome.answer)) {
    const { answer } = outcome;
    const isBody = typeof answer.body === 'string' || isObject(answer.body);
    if (isBody && typeof answer.outputTexts === 'function') {
      const outputTexts = () => texts(() => answer.outputTexts());
      return { ok: true, answer: { ...answer, usage: checkedUsage(answer.usage), outputTexts } };
    }
  }
  return wrong(OUTCOMES);
}

const OUTCOMES = '{ ok: true, answer: { body, usage, outputTexts } } or { ok: false, fault, usage }';

function isStep(next: NextStep): boolean {
  if (!isObject(next) || typeof next.id !== 'string' || !Number.isFinite(next.afterMs)) return false;
  return isRoute(next.route) && (next.cancel === null || isRoute(next.cancel));
}

function isRoute(route: UpstreamRoute): boolean {
  return isObject(route) && (route.method === 'GET' || route.method === 'POST') && isHttpUrl(route.url);
}

/** A figure that is no count is not known. */
export function checkedUsage(report: UsageReport | null | undefined): UsageReport | null {
  if (report === null || report === undefined) return null;
  if (!isObject(report) || !isObject(report.counts))
    return wrong('usage as { counts, providerCostUsd, problems }, or null');
  const counts = noCounts();
  const problems = Array.isArray(report.problems) ? report.problems.map(String) : [];
  for (const name of USAGE_CLASSES) {
    const count: unknown = report.counts[name];
    if (isCount(count)) counts[name] = count;
    else if (count !== null && count !== undefined) problems.push(name);
  }
  const { providerCostUsd } = report;
  return { counts, providerCostUsd: typeof providerCostUsd === 'string' ? providerCostUsd : null, problems };
}

export function checkedStep(step: StreamStep): StreamStep {
  if (isObject(step)) {
    if (step.kind === 'nothing' || step.kind === 'done') return step;
    if (step.kind === 'chunk' && typeof step.data === 'string' && typeof step.content === 'boolean') return step;
    if (step.kind === 'fault' && isObject(step.fault)) return step;
  }
  return wrong('a step: { kind: chunk, data, content }, nothing, done, or { kind: fault, fault }');
}

const ACTIONS: ReadonlySet<string> = new Set(['retry', 'wait', 'rotate-key', 'fall-back', 'reject']);

export function checkedVerdict(verdict: Verdict | undefined): Verdict | undefined {
  if (verdict === undefined || (isObject(verdict) && ACTIONS.has(verdict.action))) return verdict;
  return wrong(`{ action: ${[...ACTIONS].join(', ')} }, or undefined`);
}

export function textOf(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  return wrong('a text, or undefined');
}

export function textsOf(value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  return wrong('a list of texts');
}

function isObject<T>(value: T): value is T & object {
  return typeof value === 'object' && value !== null;
}

function isHttpUrl(url: unknown): boolean {
  return typeof url === 'string' && /^https?:\/\//.test(url) && URL.canParse(url);
}

function wrong(expected: string): never {
  throw new Error(`it gave something else than ${expected}`);
}
