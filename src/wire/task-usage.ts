import type { JsonObject } from '../domain/task.js';
import type { Unit } from '../domain/units.js';
import { noCounts, type UsageReport } from '../domain/usage.js';
import { isJsonObject } from './json-object.js';
import { scanMembers } from './json-text.js';
import { mentionsCost } from './openai-answer.js';
import { parseOpenAiUsage } from './openai-usage.js';

/** A report of one figure; null when that is null. */
export function unitReport(unit: Unit, count: number | null): UsageReport | null {
  return count === null ? null : { counts: { ...noCounts(), [unit]: count }, providerCostUsd: null, problems: [] };
}

/** What an answer's `usage` says in tokens. */
export function tokenUsage({ text, value }: { text: string; value: JsonObject }): UsageReport | null {
  const { usage } = value;
  const raw = mentionsCost(usage) ? scanMembers(text).get('usage') : undefined;
  return parseOpenAiUsage(spelled(usage), raw === undefined ? {} : { text: raw });
}

/** The same with a figure in the task's unit beside it. */
export function usageWithUnit(
  read: { text: string; value: JsonObject },
  unit: Unit,
  count: number | null,
): UsageReport | null {
  const tokens = tokenUsage(read);
  return tokens === null ? unitReport(unit, count) : { ...tokens, counts: { ...tokens.counts, [unit]: count } };
}

/**
 * Length of a transcribed recording as its answer tells it: `usage.seconds`, Mistral's `usage.prompt_audio_seconds`, or
 * `duration` in seconds, also as text.
 * Sources: https://platform.openai.com/docs/api-reference/audio/json-object, https://docs.mistral.ai/api/endpoint/audio/transcriptions
 */
export function reportedAudioMs(value: JsonObject): number | null {
  const { usage } = value;
  const counted = isJsonObject(usage) ? (usage['seconds'] ?? usage['prompt_audio_seconds']) : undefined;
  const told = counted ?? value['duration'];
  const seconds = typeof told === 'string' && /^\d+(\.\d+)?$/.test(told) ? Number(told) : told;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) return null;
  return Math.ceil(seconds * 1_000);
}

/** Transcriptions say `input_token_details` where the dialect has `input_tokens_details` elsewhere. */
function spelled(usage: unknown): unknown {
  if (!isJsonObject(usage) || !isJsonObject(usage['input_token_details'])) return usage;
  return { ...usage, prompt_tokens_details: usage['input_token_details'] };
}
