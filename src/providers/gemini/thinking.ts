import type { Writable } from '../../wire/raw-json.js';
import { refuse } from './refuse.js';

/** What Google's own OpenAI endpoint makes of the efforts for models that take a budget. */
const BUDGETS: Readonly<Record<string, number>> = { minimal: 1024, low: 1024, medium: 8192, high: 24_576 };
const EFFORTS = ['none', ...Object.keys(BUDGETS)];

/** Models that know the level `minimal`; for the others `low` is the least. */
const HAS_MINIMAL = /gemini-3(\.[156])?-flash/;

/** Major and minor version in a model's name; null where the name has none (`gemini-flash-latest`, a tuned model). */
function versionOf(model: string): number | null {
  const version = /gemini-(\d+(?:\.\d+)?)/.exec(model)?.[1];
  return version === undefined ? null : Number(version);
}

/**
 * `reasoning_effort` as a thinking config, with the thoughts asked for, so that they come as `reasoning_content`.
 * Gemini 2.5 takes a budget in tokens, later models a level; earlier ones do not think. Where thinking cannot be
 * turned off, `none` is refused.
 * Sources: https://ai.google.dev/gemini-api/docs/openai, https://ai.google.dev/gemini-api/docs/thinking,
 * https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking
 */
export function thinkingConfig(effort: unknown, model: string): Writable | undefined {
  if (typeof effort !== 'string' || !EFFORTS.includes(effort)) {
    refuse('reasoning_effort', `must be one of ${EFFORTS.join(', ')} for gemini`);
  }
  const version = versionOf(model);
  if (version !== null && version < 2.5) {
    if (effort === 'none') return undefined;
    refuse('reasoning_effort', `${model} does not reason`);
  }
  const takesBudget = version === 2.5;
  if (effort === 'none') {
    if (!takesBudget || /-pro\b/.test(model)) {
      refuse('reasoning_effort', `gemini cannot turn the reasoning of ${model} off`);
    }
    return { thinkingBudget: 0 };
  }
  if (takesBudget) return { thinkingBudget: BUDGETS[effort] as number, includeThoughts: true };
  const level = effort === 'minimal' && !HAS_MINIMAL.test(model) ? 'low' : effort;
  return { thinkingLevel: level, includeThoughts: true };
}

/** From Gemini 3 on a function call in the history must carry its signature. */
export function needsSignatures(model: string): boolean {
  const version = versionOf(model);
  return version === null ? /gemini-.*latest/.test(model) : version >= 3;
}
