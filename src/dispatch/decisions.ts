import type { Candidate, Plan, Target } from '../domain/route.js';

/** Why each target was picked or passed over. Nobody changes one: requests share it. */
export interface Decision {
  readonly candidates: readonly object[];
  readonly excluded: readonly object[];
}

/** Most requests have one target and nothing else to tell: they share the decision of the last, whose JSON is made once. */
export class Decisions {
  #last: { target: Target; reason: string; decision: Decision } | null = null;

  of({ candidates, excluded }: Plan): Decision {
    const [first] = candidates;
    const isPlain = candidates.length === 1 && first?.score === null && excluded.length === 0;
    if (!isPlain) return { candidates: candidates.map(candidateOf), excluded };
    const { target, reason } = first;
    if (this.#last?.target !== target || this.#last.reason !== reason) {
      this.#last = { target, reason, decision: { candidates: [candidateOf(first)], excluded: [] } };
    }
    return this.#last.decision;
  }
}

function candidateOf({ target, score, reason }: Candidate): object {
  return { provider: target.providerId, model: target.model, score, reason };
}
