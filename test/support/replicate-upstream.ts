import type { RecordedRequest, UpstreamHandler, UpstreamStep } from './scripted-upstream.js';

export const PREDICTION_ID = 'gm3qorzdhgbfurvjtvhg6dckhu';
export const PREDICTION_PATH = `/v1/predictions/${PREDICTION_ID}`;
export const STREAM_PATH = '/stream/1';

/** A prediction as Replicate answers it. */
export function predicted(rest: object): UpstreamStep {
  return {
    body: {
      id: PREDICTION_ID,
      status: 'succeeded',
      output: null,
      error: null,
      logs: '',
      created_at: '2026-03-01T12:00:00.654Z',
      urls: { get: 'https://api.replicate.test/get', cancel: 'https://api.replicate.test/cancel' },
      ...rest,
    },
  };
}

export const METRICS = { input_token_count: 10, output_token_count: 5, predict_time: 0.5 };
export const running = (rest: object = {}) => ({ ...predicted({ status: 'processing', ...rest }), status: 201 });
export const done = (rest: object = {}) => predicted({ output: ['five ', 'words'], metrics: METRICS, ...rest });

/** Events of a prediction's stream: pieces of text, and an end. */
export function streamed(pieces: readonly string[], end: string | null = 'event: done\ndata: {}\n\n'): string {
  return pieces.map((piece) => `event: output\nid: 1:0\ndata: ${piece}\n\n`).join('') + (end ?? '');
}

type Answers = UpstreamStep | readonly UpstreamStep[];

/**
 * What a Replicate answers: to making a prediction, asking for it, streaming and cancelling it. Of several answers each is
 * given once, and the last from then on.
 */
export function replicateScript(answers: {
  make?: Answers;
  ask?: Answers;
  stream?: Answers;
  cancel?: Answers;
}): UpstreamHandler {
  const given = new Map<string, number>();
  const next = (name: 'make' | 'ask' | 'stream' | 'cancel', otherwise: UpstreamStep): UpstreamStep => {
    const all = answers[name] ?? otherwise;
    const list: readonly UpstreamStep[] = Array.isArray(all) ? all : [all as UpstreamStep];
    const at = given.get(name) ?? 0;
    given.set(name, at + 1);
    return list[Math.min(at, list.length - 1)] as UpstreamStep;
  };
  return (request) => {
    switch (callOf(request)) {
      case 'make':
        return next('make', running());
      case 'ask':
        return next('ask', done());
      case 'cancel':
        return next('cancel', predicted({ status: 'canceled' }));
      case 'stream':
        return next('stream', { status: 404 });
      default:
        return { status: 404, body: { detail: 'not found' } };
    }
  };
}

/** What a call was for. */
export function callOf({ method, path }: RecordedRequest): 'make' | 'ask' | 'stream' | 'cancel' | null {
  if (method === 'POST' && path.endsWith('/predictions')) return 'make';
  if (method === 'POST' && path === `${PREDICTION_PATH}/cancel`) return 'cancel';
  if (method === 'GET' && path === PREDICTION_PATH) return 'ask';
  return method === 'GET' && path === STREAM_PATH ? 'stream' : null;
}
