import type { HeaderFields, NextStep, StreamReader, TaskHelper, UpstreamTarget } from '../../src/domain/provider.js';
import type { JsonObject, TaskRequest } from '../../src/domain/task.js';
import type { UsageReport } from '../../src/domain/usage.js';
import { isJsonObject, parseJsonObject } from '../../src/wire/json-object.js';
import { readEvents, replay, type Seen } from '../conformance/adapters.js';
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

/** What one answer is: something that was read, or a prediction that goes on. */
export type Read =
  | {
      kind: 'read';
      /** Null for a failure; then the first problem is it. */
      reading: Reading | null;
      problems: string[];
      /** Of a stream: what read it. */
      reader: StreamReader | null;
      /** The provider has nothing under way any more. */
      isOver: boolean;
    }
  | { kind: 'later'; next: NextStep };

/** Everything it takes to read an answer to one request. */
export interface Asked {
  helper: TaskHelper;
  request: TaskRequest;
  target: UpstreamTarget;
}

/** Reads an answer as the router does. `step`: what was asked, where it was not the call itself. */
export function readAnswer(asked: Asked, raw: RawAnswer, step?: NextStep): Read {
  const { helper, request } = asked;
  const isJson = raw.headers['content-type']?.toLowerCase().startsWith('application/json') === true;
  const isStream = request.stream && helper.openStream !== undefined && !isJson;
  return isStream ? readStream(asked, raw, step) : readWhole(asked, raw, step);
}

function readWhole({ helper, request, target }: Asked, raw: RawAnswer, step: NextStep | undefined): Read {
  const outcome = helper.getResponse(raw, request, target);
  if (outcome.ok === 'later') return { kind: 'later', next: outcome.next };
  if (!outcome.ok) {
    const isOver = outcome.hasEnded === true || outcome.fault.kind === 'status';
    return { kind: 'read', reading: null, problems: [outcome.fault.message], reader: null, isOver };
  }
  const { body: given, contentType = null, usage, events } = outcome.answer;
  if (request.stream) {
    const reader = events === undefined ? undefined : helper.openStream?.(request, target, raw.headers, step);
    if (reader === undefined) return failure('a stream was asked for, and a whole answer came');
    const read = streamRead(reader, readEvents(reader, events ?? []));
    reader.readAfterwards?.(raw);
    if (read.kind === 'read' && read.reading !== null) read.reading.usage = reader.usage() ?? usage;
    return { ...read, reader: null, isOver: true };
  }
  const body = Buffer.isBuffer(given) ? given : Buffer.from(answerTextOf(given));
  const value = contentType === null || contentType.includes('json') ? parseJsonObject(body.toString()) : null;
  const problems = contentType === null && value === null ? ['the answer is no JSON object'] : [];
  const reading = { parts: value === null ? [] : [value], body, contentType, usage };
  return { kind: 'read', reading, problems, reader: null, isOver: true };
}

function failure(message: string): Extract<Read, { kind: 'read' }> {
  return { kind: 'read', reading: null, problems: [message], reader: null, isOver: true };
}

/** Whole and byte by byte, which must give the same. */
function readStream({ helper, request, target }: Asked, raw: RawAnswer, step: NextStep | undefined): Read {
  const open = (): StreamReader => {
    const reader = helper.openStream?.(request, target, raw.headers, step);
    if (reader === undefined) throw new Error(`${target.providerId} does not stream this task`);
    return reader;
  };
  const contentType = raw.headers['content-type'];
  const [reader, other] = [open(), open()];
  const whole = replay(reader, [raw.body], contentType);
  const pieces = replay(
    other,
    [...raw.body].map((byte) => Buffer.from([byte])),
    contentType,
  );
  const read = streamRead(reader, whole);
  const all = (from: StreamReader, seen: Seen) => JSON.stringify([seen, from.isFinished(), from.usage()]);
  if (read.reading !== null && all(reader, whole) !== all(other, pieces)) {
    read.problems.push('byte by byte the stream says something else');
  }
  return read;
}

function streamRead(reader: StreamReader, { data, content, fault }: Seen): Extract<Read, { kind: 'read' }> {
  // Whether the prediction has ended with its stream is not known.
  if (fault !== null) return { ...failure(fault), isOver: false };
  const problems = content ? [] : ['the stream has no content'];
  const isOver = reader.isFinished();
  if (!isOver) problems.push('the stream does not end');
  const parts = data.map((text): unknown => JSON.parse(text)).filter(isJsonObject);
  const reading = { parts, body: null, contentType: null, usage: reader.usage() };
  return { kind: 'read', reading, problems, reader, isOver };
}
