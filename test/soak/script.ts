/** What the upstream of the soak tests is asked for, what it does wrong when, and what it writes down. */

/** In a request's `user` field, as JSON. */
export interface Ask {
  id: string;
  /** Usage to report. */
  in?: number;
  out?: number;
  /** Before the first byte. */
  ms?: number;
  /** A provider that takes longer, and how long. */
  slow?: { provider: number; ms: number };
  /** Between the events of a stream. */
  chunkMs?: number;
}

export interface Log {
  id: string;
  /** When the request's head arrived. */
  at: number;
  provider: number;
  key: string;
  /** As reported; 0 where nothing was. */
  in: number;
  out: number;
  fault: Fault | null;
  /** True once content was sent. */
  hasContent: boolean;
  /** When the caller went away before the end of its answer. */
  leftAt: number | null;
}

export type Fault =
  | { kind: 'status'; status: number; headers: Record<string, string>; body: object }
  | { kind: 'slow'; ms: number }
  | { kind: 'reset' | 'malformed' | 'error-in-200' }
  /** The connection ends after so many events of a stream: 0 or 1 is before its first content. */
  | { kind: 'hang-up'; after: number };

/** Who is well when: the providers of each spell of `spellMs`, counted from `startsAt`. */
export interface Schedule {
  startsAt: number;
  spellMs: number;
  well: number[][];
  /** Refused wherever they come up. */
  badKeys: string[];
  slowMs: number;
}

export function spellAt({ startsAt, spellMs, well }: Schedule, at: number): readonly number[] {
  return well[Math.floor((at - startsAt) / spellMs)] ?? [];
}

/** Null: it answers. */
export function faultFor(
  schedule: Schedule,
  call: { provider: number; key: string; at: number; draw: () => number },
): Fault | null {
  if (schedule.badKeys.includes(call.key)) {
    return status(401, { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } });
  }
  if (spellAt(schedule, call.at).includes(call.provider)) return null;
  return faults(schedule.slowMs)[Math.floor(call.draw() * faults(schedule.slowMs).length)] as Fault;
}

function faults(slowMs: number): Fault[] {
  return [
    status(429, { error: { message: 'Rate limit reached' } }, { 'retry-after': '1' }),
    status(429, { error: { message: 'Rate limit reached' } }),
    status(500, { error: { message: 'boom' } }),
    status(503, { error: 'Model m is currently loading', estimated_time: 0.7 }),
    { kind: 'reset' },
    { kind: 'hang-up', after: 0 },
    { kind: 'hang-up', after: 3 },
    { kind: 'slow', ms: slowMs },
    { kind: 'error-in-200' },
    { kind: 'malformed' },
  ];
}

function status(code: number, body: object, headers: Record<string, string> = {}): Fault {
  return { kind: 'status', status: code, headers, body };
}

export function answerBody(usage: { in: number; out: number }): object {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'well' }, finish_reason: 'stop' }],
    usage: usageOf(usage),
  };
}

/** The first says no word, the last but one the usage. */
export function streamEvents(usage: { in: number; out: number }): string[] {
  const chunk = (choices: object[], rest: object = {}) =>
    JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...rest });
  const said = (delta: object, finish: string | null = null) => chunk([{ index: 0, delta, finish_reason: finish }]);
  return [
    said({ role: 'assistant', content: '' }),
    ...Array.from({ length: 5 }, (_, word) => said({ content: `word${word} ` })),
    said({}, 'stop'),
    chunk([], { usage: usageOf(usage) }),
    '[DONE]',
  ];
}

function usageOf(usage: { in: number; out: number }): object {
  return { prompt_tokens: usage.in, completion_tokens: usage.out, total_tokens: usage.in + usage.out };
}
