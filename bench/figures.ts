import { judge, type Verdict } from './goals.js';

/** A figure that stands by itself, and what it is held to. */
export interface SingleFigure {
  name: string;
  value: number;
  unit: 'requests/s' | 'µs/request' | 'ms' | 'MB' | 'x';
  /** What the run itself cannot tell apart. */
  noise: number;
  /** Null: shown, not judged. */
  goal: { bound: 'at-most' | 'at-least'; value: number } | null;
}

export function figure(
  name: string,
  value: number,
  unit: SingleFigure['unit'],
  goal: SingleFigure['goal'],
  noise = 0,
): SingleFigure {
  return { name, value, unit, noise, goal };
}

/** One line a figure, as text; and whether every goal is met. */
export function figureLines(figures: readonly SingleFigure[]): { text: string; isMet: boolean } {
  const lines = figures.map((each) => {
    const { name, value, unit, noise, goal } = each;
    const number = value < 10 ? value.toFixed(3) : Math.round(value);
    const shown = `${number} ${unit}${noise === 0 ? '' : ` ±${noise.toFixed(2)}`}`.padStart(20);
    if (goal === null) return `${name.padEnd(50)} ${shown}`;
    const wanted = `${goal.bound === 'at-most' ? 'at most' : 'at least'} ${goal.value}`;
    return `${name.padEnd(50)} ${shown}   ${wanted}: ${verdictOf(each)}`;
  });
  return { text: lines.join('\n'), isMet: figures.every((each) => verdictOf(each) !== 'missed') };
}

function verdictOf({ value, noise, goal }: SingleFigure): Verdict {
  return goal === null ? 'met' : judge(goal, { median: value, noise });
}
