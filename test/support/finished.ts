import type { AnswerOutcome, Unfinished } from '../../src/domain/provider.js';

/** What came of an answer that is no prediction under way. */
export function finished(outcome: AnswerOutcome | Unfinished): AnswerOutcome {
  if (outcome.ok === 'later') throw new Error(`the prediction ${outcome.next.id} has not ended`);
  return outcome;
}
