import type { Random } from '../domain/ports.js';
import type { ScoreParts, Signals } from '../domain/route.js';

export interface Scored {
  /** Position in the list that was handed in. */
  index: number;
  score: number | null;
}

/** Orders candidates, best first. Pure but for `random`. */
export type Strategy = (signals: readonly Signals[], turn: number, random: Random) => Scored[];

/** Each in turn: `turn` counts the requests for this name. */
export const roundRobin: Strategy = (signals, turn) => {
  const count = signals.length;
  return signals.map((_, offset) => ({ index: (turn + offset) % count, score: null }));
};

/** Drawn without replacement, each with the chance its weight gives. */
export const weighted: Strategy = (signals, _turn, random) => {
  const left = signals.map((signal, index) => ({ index, weight: signal.weight }));
  const order: Scored[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, item) => sum + item.weight, 0);
    let point = random() * total;
    let pick = left.length - 1;
    for (let i = 0; i < left.length; i += 1) {
      point -= left[i]?.weight ?? 0;
      if (point < 0) {
        pick = i;
        break;
      }
    }
    const [taken] = left.splice(pick, 1);
    if (taken !== undefined) order.push({ index: taken.index, score: null });
  }
  return order;
};

/** Fewest under way against capacity; ties by turn. */
export const leastLoaded: Strategy = (signals, turn, random) => {
  return ranked(roundRobin(signals, turn, random), (index) => signals[index]?.load ?? null);
};

/** This request's estimated cost; unknown costs come last. */
export const lowestCost: Strategy = (signals, turn, random) => {
  return ranked(roundRobin(signals, turn, random), (index) => signals[index]?.cost ?? null);
};

/**
 * Time to first byte with power of two choices: two drawn at random, the faster first, so that a herd does not form.
 * A target without a figure counts as fast, so that it gets one.
 */
export const lowestLatency: Strategy = (signals, turn, random) => {
  const byLatency = ranked(roundRobin(signals, turn, random), (index) => signals[index]?.firstByteMs ?? 0);
  if (byLatency.length <= 2) return byLatency;
  const a = Math.floor(random() * byLatency.length);
  const b = (a + 1 + Math.floor(random() * (byLatency.length - 1))) % byLatency.length;
  const first = byLatency[Math.min(a, b)];
  return first === undefined ? byLatency : [first, ...byLatency.filter((scored) => scored !== first)];
};

/** How much each signal counts. */
export interface HybridWeights {
  tokenRatio: number;
  reqRatio: number;
  errorScore: number;
  latency: number;
  costRatio: number;
}

/**
 * The weighted sum of all signals, each from 0 (best) to 1: used tokens, used requests, errors, latency and cost against
 * the worst of the candidates. A target without limits counts its calls under way. Latency that is not known counts as
 * the best, so that it becomes known; a cost that is not known as the worst.
 */
export function hybrid(weights: HybridWeights): Strategy {
  return (signals, turn, random) => {
    const parts = hybridParts(weights, signals);
    return ranked(roundRobin(signals, turn, random), (index) => {
      const part = parts[index];
      if (part === undefined) return null;
      return part.tokenRatio + part.reqRatio + part.errorScore + part.latency + part.costRatio;
    });
  };
}

/** What each signal adds to the score of each candidate. */
export function hybridParts(weights: HybridWeights, signals: readonly Signals[]): ScoreParts[] {
  const worst = (of: (signal: Signals) => number | null) => Math.max(0, ...signals.map((signal) => of(signal) ?? 0));
  const [load, latency, cost] = [worst((s) => s.load), worst((s) => s.firstByteMs), worst((s) => s.cost)];
  const share = (value: number, most: number) => (most === 0 ? 0 : value / most);
  return signals.map((signal) => {
    const busy = share(signal.load, load);
    return {
      tokenRatio: weights.tokenRatio * (signal.tokenRatio ?? busy),
      reqRatio: weights.reqRatio * (signal.reqRatio ?? busy),
      errorScore: weights.errorScore * signal.errorRate,
      latency: weights.latency * share(signal.firstByteMs ?? 0, latency),
      costRatio: weights.costRatio * (signal.cost === null ? 1 : share(signal.cost, cost)),
    };
  });
}

/** As the file has them. */
export const inOrder: Strategy = (signals) => signals.map((_, index) => ({ index, score: null }));

/** Most output tokens a second, as measured; what was not measured comes first, so that it is. */
export const fastestOutput: Strategy = (signals, turn, random) => {
  return ranked(roundRobin(signals, turn, random), (index) => -(signals[index]?.outputPerSecond ?? Infinity));
};

/** Lowest output price; unknown prices come last. */
export const cheapestOutput: Strategy = (signals) => {
  return ranked(
    inOrder(signals, 0, () => 0),
    (index) => signals[index]?.outputRate ?? null,
  );
};

/** Lower is better, null is worst; equal scores keep the order they came in. */
function ranked(order: readonly Scored[], scoreOf: (index: number) => number | null): Scored[] {
  return order.map(({ index }) => ({ index, score: scoreOf(index) })).sort((a, b) => compareScores(a.score, b.score));
}

function compareScores(a: number | null, b: number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a - b;
}
