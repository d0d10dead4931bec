import type { NextStep, UpstreamRoute } from '../../src/domain/provider.js';
import { type Asked, type RawAnswer, type Read, type Reading, readAnswer } from './read.js';

/** Whatever an answer leads to, a provider is not asked in a tight loop. The router's own figures. */
const APART_MS = 250;
const AFTERWARDS_TIMES = 4;

/** A prediction could not be followed to its end. The message says why. */
export class NotFollowedError extends Error {}

/** What is asked next: `step` of the prediction, or the prediction as a whole after its stream. */
export interface NextAsking {
  route: UpstreamRoute;
  /** After how long. */
  afterMs: number;
  step: NextStep;
  isAfterwards: boolean;
}

/**
 * Asks the provider, or a fixture.
 * @throws NotFollowedError
 */
export type AskNext = (asking: NextAsking) => Promise<RawAnswer>;

export interface Followed {
  reading: Reading | null;
  problems: string[];
  /** The last step of a prediction that may go on at the provider; null where nothing does. */
  unended: NextStep | null;
}

/** Reads an answer, and where it only begins a prediction asks until that has ended, as the router does. */
export async function follow(asked: Asked, first: RawAnswer, askNext: AskNext): Promise<Followed> {
  let step: NextStep | undefined;
  let read = readAnswer(asked, first);
  try {
    while (read.kind === 'later') {
      const afterMs: number = step === undefined ? read.next.afterMs : Math.max(read.next.afterMs, APART_MS);
      step = read.next;
      read = readAnswer(asked, await askNext({ route: step.route, afterMs, step, isAfterwards: false }), step);
    }
  } catch (error) {
    if (!(error instanceof NotFollowedError)) throw error;
    return { reading: null, problems: [error.message], unended: step ?? null };
  }
  const { reading, problems, isOver } = read;
  if (step !== undefined && problems.length === 0) problems.push(...(await readUsageAfterwards(read, step, askNext)));
  return { reading, problems, unended: isOver ? null : (step ?? null) };
}

/** The usage of a stream that does not tell it. What is wrong. */
async function readUsageAfterwards(
  { reading, reader }: Extract<Read, { kind: 'read' }>,
  step: NextStep,
  askNext: AskNext,
): Promise<string[]> {
  const route = step.afterwards;
  if (route === undefined || reading === null || reader?.readAfterwards === undefined) return [];
  try {
    for (let times = 0; times < AFTERWARDS_TIMES; times += 1) {
      const afterMs = times === 0 ? 0 : APART_MS;
      if (!reader.readAfterwards(await askNext({ route, afterMs, step, isAfterwards: true }))) continue;
      reading.usage = reader.usage();
      return [];
    }
    return ['after its stream the prediction still has not ended, and its usage is not known'];
  } catch (error) {
    if (!(error instanceof NotFollowedError)) throw error;
    return [`the usage of the stream: ${error.message}`];
  }
}
