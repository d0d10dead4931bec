import type { Verdict } from '../../domain/failure.js';
import type {
  AnswerFault,
  AnswerOutcome,
  HeaderFields,
  NextStep,
  Payload,
  SseEvent,
  StreamReader,
  StreamStep,
  TaskAnswer,
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

/** What a header may hold: https://www.rfc-editor.org/rfc/rfc9110#name-fields */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export function checkedHeaders(headers: HeaderFields): HeaderFields {
  if (!isObject(headers) || headers instanceof Promise) return wrong('header names to texts');
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') return wrong(`header names to texts: \`${name}\` is none`);
    // Of a header's value nothing is repeated: it may be a key.
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value)) {
      return wrong(`headers that can be sent: ${JSON.stringify(name)} cannot`);
    }
  }
  return headers;
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
  if (outcome.ok === false && isObject(outcome.fault)) {
    const hasEnded = outcome.hasEnded === true ? { hasEnded: true as const } : {};
    return { ok: false, fault: checkedFault(outcome.fault), usage: checkedUsage(outcome.usage), ...hasEnded };
  }
  if (outcome.ok === true && isObject(outcome.answer)) {
    const { answer } = outcome;
    if (isAnswer(answer)) {
      const outputTexts = () => texts(() => answer.outputTexts());
      // Whether it keeps something of what it was given is not known.
      const { recyclable: _, ...given } = answer;
      return { ok: true, answer: { ...given, usage: checkedUsage(answer.usage), outputTexts } };
    }
  }
  return wrong(OUTCOMES);
}

/** A content type as a header can carry it; null for an answer that is read first. */
export function checkedContentType(value: unknown): string | null {
  if (value === null) return null;
  return typeof value === 'string' && HEADER_VALUE.test(value) ? value : wrong('a content type, or null');
}

/** What the usage is written into. That it is JSON from end to end is the adapter's to see to. */
const IN_BRACES = /^\s*\{[\s\S]*\}\s*$/;

function isAnswer({ body, contentType, outputTexts, events }: TaskAnswer): boolean {
  const isBody =
    (typeof body === 'string' && (contentType !== undefined || IN_BRACES.test(body))) ||
    Buffer.isBuffer(body) ||
    (isObject(body) && areBuffers(body.before) && areBuffers(body.after));
  const isType = contentType === undefined || (typeof contentType === 'string' && HEADER_VALUE.test(contentType));
  const isEvents = events === undefined || (Array.isArray(events) && events.every(isEvent));
  return isBody && isType && isEvents && typeof outputTexts === 'function';
}

function areBuffers(parts: unknown): boolean {
  return Array.isArray(parts) && parts.every((part) => Buffer.isBuffer(part));
}

function isEvent(event: unknown): boolean {
  return isObject(event) && typeof (event as Partial<SseEvent>).data === 'string';
}

/** What is not said is not known; what is said has to be what it is called, for what the client is told is made of it. */
export function checkedFault(fault: AnswerFault): AnswerFault {
  const { kind, status = null, message, retryAfterMs, loadingMs } = fault;
  const isKind = kind === 'malformed' || kind === 'status';
  const isStatus = status === null || (Number.isInteger(status) && status >= 400 && status <= 599);
  if (!isKind || !isStatus || typeof message !== 'string') return wrong(FAULT);
  return {
    kind,
    status,
    code: textOrNull(fault.code),
    type: textOrNull(fault.type),
    param: textOrNull(fault.param),
    message,
    retryAfterMs: isWait(retryAfterMs) ? retryAfterMs : null,
    loadingMs: isWait(loadingMs) ? loadingMs : null,
  };
}

const FAULT = 'a fault: { kind: malformed or status, status: 400 to 599 or null, code, type, param, message }';

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}

function isWait(ms: unknown): ms is number {
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0;
}

const OUTCOMES =
  '{ ok: true, answer: { body (a JSON object as text, or bytes), usage, outputTexts } } or { ok: false, fault, usage }';

function isStep(next: NextStep): boolean {
  if (!isObject(next) || typeof next.id !== 'string' || !isWait(next.afterMs)) return false;
  const { route, cancel, afterwards } = next;
  return isRoute(route) && (cancel === null || isRoute(cancel)) && (afterwards === undefined || isRoute(afterwards));
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
    // Its text is one line of the client's stream.
    const isLine = step.kind === 'chunk' && typeof step.data === 'string' && !/[\r\n]/.test(step.data);
    if (isLine && typeof step.content === 'boolean') return step;
    if (step.kind === 'fault' && isObject(step.fault)) return { kind: 'fault', fault: checkedFault(step.fault) };
  }
  return wrong('a step: { kind: chunk, data: one line, content }, nothing, done, or { kind: fault, fault }');
}

export function checkedIdentity(identity: ReturnType<StreamReader['identity']>): typeof identity {
  const { id, created, model } = identity;
  const isIdentity = typeof id === 'string' && Number.isFinite(created) && typeof model === 'string';
  return isIdentity ? identity : wrong('{ id: text, created: seconds, model: text }');
}

/** A wait that is none would be waited for without an end. */
export function checkedVerdict(verdict: Verdict | undefined): Verdict | undefined {
  if (verdict === undefined) return undefined;
  if (isObject(verdict)) {
    switch (verdict.action) {
      case 'fall-back':
      case 'reject':
        return verdict;
      case 'wait':
        if (isWait(verdict.afterMs)) return verdict;
        break;
      case 'retry':
        if (isWait(verdict.afterMs ?? 0)) return { action: 'retry', afterMs: verdict.afterMs ?? null };
        break;
      case 'rotate-key':
        if (isWait(verdict.cooldownMs ?? 0)) return { ...verdict, cooldownMs: verdict.cooldownMs ?? null };
    }
  }
  return wrong(VERDICTS);
}

const VERDICTS =
  '{ action: retry, wait (both with afterMs), rotate-key (with cooldownMs), fall-back or reject }, or undefined';

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
