import { isContextLength } from '../../domain/failure.js';
import type {
  AnswerFault,
  AnswerOutcome,
  NextStep,
  Unfinished,
  UpstreamAnswer,
  UpstreamTarget,
} from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { faultIn, malformed, statusFault } from '../../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from '../../wire/openai-answer.js';
import { createdBy } from '../chat-chunks.js';
import { textOf } from '../json-answer.js';
import { rootOf } from './model-name.js';
import { type PredictionUsage, readMetrics } from './usage.js';

/** A prediction that has ended well. */
export interface EndedPrediction {
  id: string;
  /** Unix seconds. */
  created: number;
  output: unknown;
  usage: PredictionUsage | null;
}

/** How long until a prediction is asked for again: one that runs, and one that waits for a machine. */
const RUNNING_MS = 500;
const STARTING_MS = 1_000;

/** An id is put into paths: nothing that could lead elsewhere. */
const ID = /^[A-Za-z0-9_-]{1,128}$/;
const ENDED_BADLY = new Set(['failed', 'canceled', 'aborted']);

/** What stands in a prediction's error where the input is at fault: retrying changes nothing. */
const REFUSED_INPUT = /\bE005\b|flagged as sensitive|\bNSFW\b/i;
/** Replicate's codes for what is wrong on its side and may pass. Source: https://replicate.com/docs/reference/error-codes */
const PASSING = /\b(E6716|E8765|E9243)\b|interrupted|please retry/i;

/**
 * A prediction as it is made, asked for and cancelled: its answer, its failure, or what to ask next. Its own addresses are
 * made from its id, and `urls` is not followed but for the stream, which lies on a host of its own.
 * Sources: https://replicate.com/docs/reference/http#predictions.get,
 * https://replicate.com/docs/topics/predictions/lifecycle
 */
export function readPrediction(
  answer: UpstreamAnswer,
  request: Pick<TaskRequest, 'stream'>,
  target: UpstreamTarget,
): { ok: true; prediction: EndedPrediction } | Extract<AnswerOutcome, { ok: false }> | Unfinished {
  if (isBeyondText(answer)) return { ok: false, fault: malformed(TOO_LARGE), usage: null };
  const text = answerText(answer);
  const value = parseJsonObject(text);
  if (value === null) return { ok: false, fault: malformed(notJson(text)), usage: null };
  const { status } = value;
  const usage = readMetrics(value['metrics']);
  if (typeof status === 'string' && ENDED_BADLY.has(status)) {
    return { ok: false, fault: faultOf(status, value['error']), usage: usage?.report ?? null };
  }
  const fault = faultIn(value);
  if (fault !== null) return { ok: false, fault, usage: null };
  const id = textOf(value['id']) ?? '';
  if (!ID.test(id)) return { ok: false, fault: malformed('the provider’s answer is no prediction'), usage: null };
  if (status === 'starting' || status === 'processing') {
    return { ok: 'later', next: nextStep(id, status, request.stream ? value['urls'] : null, target) };
  }
  if (status !== 'succeeded' && status !== 'successful') {
    const fault = malformed(`the prediction has a status that is not known: ${JSON.stringify(status ?? null)}`);
    return { ok: false, fault, usage: usage?.report ?? null };
  }
  return { ok: true, prediction: { id, created: createdOf(value, answer), output: value['output'], usage } };
}

/** True once a prediction has come to its end, whichever it was. */
export function hasEnded(value: JsonObject): boolean {
  return value['status'] !== 'starting' && value['status'] !== 'processing';
}

/** What a prediction's error means, in an answer or in a stream. */
export function faultOf(status: string, error: unknown): AnswerFault {
  if (status !== 'failed') {
    const message = textOf(error) || `the prediction was ${status} at the provider`;
    return { ...statusFault({ error: message }), status: 503, code: status };
  }
  const fault = statusFault(isJsonObject(error) ? error : { error });
  const { message } = fault;
  const code = fault.code ?? /\bE\d{3,5}\b/.exec(message)?.[0] ?? null;
  if (REFUSED_INPUT.test(message) || isContextLength({ status: 400, code, message })) {
    return { ...fault, status: 400, code };
  }
  return { ...fault, status: PASSING.test(message) ? 503 : 500, code };
}

function nextStep(id: string, status: string, urls: unknown, target: UpstreamTarget): NextStep {
  const one = `${rootOf(target)}/predictions/${id}`;
  const whole = { method: 'GET', url: one } as const;
  const cancel = { method: 'POST', url: `${one}/cancel` } as const;
  const stream = isJsonObject(urls) ? textOf(urls['stream']) : null;
  if (stream === null) return { id, route: whole, afterMs: status === 'starting' ? STARTING_MS : RUNNING_MS, cancel };
  const step = {
    id,
    route: { method: 'GET', url: stream },
    afterMs: 0,
    stream: true,
    cancel,
    afterwards: whole,
  } as const;
  return isStreamingHost(stream) ? { ...step, keyless: true } : step;
}

/**
 * `stream.replicate.com` and its like, beside the API. The address is access enough: Replicate's own JavaScript client
 * sends no token there. Source: https://replicate.com/docs/topics/predictions/streaming
 */
function isStreamingHost(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, port, username } = new URL(url);
  return protocol === 'https:' && port === '' && username === '' && hostname.endsWith('.replicate.com');
}

function createdOf(value: JsonObject, answer: UpstreamAnswer): number {
  const ms = Date.parse(textOf(value['created_at']) ?? '');
  return Number.isNaN(ms) ? createdBy(answer.headers) : Math.floor(ms / 1_000);
}
