import type { MessageParam } from '../../wire/anthropic.js';
import { refuse } from './refuse.js';

/** The least a budget may be. */
const LEAST_BUDGET = 1024;

/**
 * Models that know budgets of thinking and nothing else: everything before Claude 4.6. Later ones refuse budgets, or
 * are about to, and decide by themselves within an effort. A name that is not known is taken for a later one.
 * Source: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting
 */
const BUDGET_MODEL = /claude-(?:[23](?!\d)|instant|(?:opus|sonnet|haiku)-4(?!\d)(?![-.][6-9](?!\d)))/;

/** OpenAI's words for effort, with Anthropic's own. */
const EFFORTS: Readonly<Record<string, { effort: string; share: number }>> = {
  minimal: { effort: 'low', share: 0.1 },
  low: { effort: 'low', share: 0.2 },
  medium: { effort: 'medium', share: 0.5 },
  high: { effort: 'high', share: 0.8 },
  xhigh: { effort: 'xhigh', share: 0.95 },
  max: { effort: 'max', share: 1 },
};

/** What an effort asks of a model. */
export interface Thinking {
  thinking: object;
  /** For `output_config.effort`. */
  effort?: string;
}

/**
 * `reasoning_effort` as `thinking`: the model decides within the effort, and its thoughts come summarised, which newer
 * models leave out by default. A model of the time before gets a budget, as a share of all output tokens, in which OpenAI
 * counts reasoning too; but not in the middle of a turn whose thinking the client did not give back, which such a model
 * would refuse: it goes on without. `none` turns thinking off. Null where nothing is to be said.
 * Sources: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking,
 * https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows,
 * https://platform.claude.com/docs/en/build-with-claude/effort
 * @throws WaybillError invalid_request for another effort, or one that has no room in `max_tokens`
 */
export function toThinking(
  effort: unknown,
  { model, maxTokens, messages }: { model: string; maxTokens: number; messages: readonly MessageParam[] },
): Thinking | null {
  if (effort === undefined) return null;
  if (effort === 'none') return { thinking: { type: 'disabled' } };
  const wanted = typeof effort === 'string' && Object.hasOwn(EFFORTS, effort) ? EFFORTS[effort] : undefined;
  if (wanted === undefined) refuse('reasoning_effort', `must be none, ${Object.keys(EFFORTS).join(', ')}`);
  if (!BUDGET_MODEL.test(model))
    return { thinking: { type: 'adaptive', display: 'summarized' }, effort: wanted.effort };
  if (hasLostThinking(messages)) return null;
  if (maxTokens <= LEAST_BUDGET) {
    refuse('reasoning_effort', `thinking takes ${LEAST_BUDGET} tokens at least, and max_tokens is ${maxTokens}`);
  }
  const budget = Math.min(Math.max(Math.floor(maxTokens * wanted.share), LEAST_BUDGET), maxTokens - 1);
  return { thinking: { type: 'enabled', budget_tokens: budget } };
}

/** True when results of tools go back to a turn that does not begin with its thinking. */
function hasLostThinking(messages: readonly MessageParam[]): boolean {
  const [turn, results] = messages.slice(-2);
  if (results === undefined || !results.content.some(({ type }) => type === 'tool_result')) return false;
  return turn?.role === 'assistant' && !/thinking$/.test(turn.content[0]?.type ?? '');
}
