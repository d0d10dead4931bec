import type { HeaderFields, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { JsonObject, TaskRequest } from '../../src/domain/task.js';
import type { UsageReport } from '../../src/domain/usage.js';
import { isJsonObject, parseJsonObject } from '../../src/wire/json-object.js';
import { replay } from '../conformance/adapters.js';
import { answerTextOf } from '../support/answer-text.js';

/** An answer with a 2xx status, as it was on the wire. */
export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: HeaderFields;
  body: Buffer;
}

/** What an adapter made of an answer. */
export interface Reading {
  /** In the client's shape: the answer, or the chunks of a stream. Empty where it is no JSON object. */
  parts: JsonObject[];
  /** Text or bytes of a whole answer; null for a stream. */
  body: Buffer | null;
  contentType: string | null;
  usage: UsageReport | null;
}

/** Reads an answer as the router does. What is wrong with it, or what it says. */
export function readAnswer(
  helper: TaskHelper,
  request: TaskRequest,
  target: UpstreamTarget,
  raw: RawAnswer,
): { reading: Reading; problems: string[] } | { reading: null; problems: [string] } {
  return request.stream ? readStream(helper, request, target, raw) : readWhole(helper, request, target, raw);
}

function readWhole(
  helper: TaskHelper,
  request: TaskRequest,
  target: UpstreamTarget,
  raw: RawAnswer,
): ReturnType<typeof readAnswer> {
  const outcome = helper.getResponse(raw, request, target);
  if (outcome.ok === 'later') {
    return { reading: null, problems: ['the answer is to be asked for later, and predictions are not followed here'] };
  }
  if (!outcome.ok) return { reading: null, problems: [outcome.fault.message] };
  const { body: given, contentType = null, usage } = outcome.answer;
  const body = Buffer.isBuffer(given) ? given : Buffer.from(answerTextOf(given));
  const value = contentType === null || contentType.includes('json') ? parseJsonObject(body.toString()) : null;
  const problems = contentType === null && value === null ? ['the answer is no JSON object'] : [];
  return { reading: { parts: value === null ? [] : [value], body, contentType, usage }, problems };
}

/** Whole and byte by byte, which must give the same. */
function readStream(
  helper: TaskHelper,
  request: TaskRequest,
  target: UpstreamTarget,
  raw: RawAnswer,
): ReturnType<typeof readAnswer> {
  const problems: string[] = [];
  const ways = [[raw.body], [...raw.body].map((byte) => Buffer.from([byte]))];
  const [first, second] = ways.map((pieces) => {
    const reader = helper.openStream?.(request, target, raw.headers);
    if (reader === undefined) throw new Error(`${target.providerId} does not stream this task`);
    const seen = replay(reader, pieces, raw.headers['content-type']);
    return { ...seen, isFinished: reader.isFinished(), usage: reader.usage() };
  });
  if (first === undefined || second === undefined) throw new Error('a stream is read in two ways');
  if (first.fault !== null) return { reading: null, problems: [first.fault] };
  if (!first.content) problems.push('the stream has no content');
  if (!first.isFinished) problems.push('the stream does not end');
  if (JSON.stringify(first) !== JSON.stringify(second)) problems.push('byte by byte the stream says something else');
  const parts = first.data.map((data): unknown => JSON.parse(data)).filter(isJsonObject);
  return { reading: { parts, body: null, contentType: null, usage: first.usage }, problems };
}
