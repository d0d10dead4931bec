import type { AnswerOutcome, UpstreamAnswer } from '../domain/provider.js';
import type { JsonObject, TaskRequest } from '../domain/task.js';
import { isCount, noCounts, type UsageReport } from '../domain/usage.js';
import { isJsonObject } from './json-object.js';
import { scanMembers, writeObject } from './json-text.js';
import { parseOpenAiUsage } from './openai-usage.js';
import { passed, readJsonAnswer, refused } from './plain-answer.js';

interface Ranked {
  index: number;
  relevance_score: number;
  document?: unknown;
}

/**
 * Any rerank answer as `{results: [{index, relevance_score}]}`, best first and no more than were asked for: Cohere's and
 * Jina's `results` pass as they came, Voyage's `data` and a bare list of `score`s (Text Embeddings Inference) are put
 * into that shape. Usage: billed search units (Cohere), and the tokens that `usage` tells.
 */
export function readRerank(answer: UpstreamAnswer, request: TaskRequest, model: string): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if ('ok' in read) return read;
  const { text, value } = read;
  const whole = isJsonObject(value) ? value : null;
  const usage = whole === null ? null : usageOf(whole);
  const list = whole === null ? value : (whole['results'] ?? whole['data']);
  const documents = request.body.value['documents'] as readonly unknown[];
  const ranked = Array.isArray(list) && list.length > 0 ? toRanked(list, documents.length) : null;
  if (ranked === null) return refused('the provider’s answer does not rank the documents');
  const top = (request.body.value['top_n'] as number | null | undefined) ?? ranked.length;
  if (whole !== null && isAsAsked(whole['results'], top)) return passed(text, usage);
  ranked.sort((a, b) => b.relevance_score - a.relevance_score);
  const results = JSON.stringify(ranked.slice(0, top));
  const rest = whole === null ? new Map([['model', JSON.stringify(model)]]) : scanMembers(text);
  for (const name of ['object', 'data', 'results']) rest.delete(name);
  return passed(writeObject([...rest, ['results', results]]), usage);
}

/** True for a list that a client may have as it is. */
function isAsAsked(results: unknown, top: number): boolean {
  if (!Array.isArray(results) || results.length > top) return false;
  let before = Number.POSITIVE_INFINITY;
  for (const item of results as JsonObject[]) {
    const score = item['relevance_score'];
    if (typeof score !== 'number' || score > before) return false;
    before = score;
  }
  return true;
}

/** Null when one of them is none, or ranks a document nobody sent. */
function toRanked(list: readonly unknown[], documents: number): Ranked[] | null {
  const ranked: Ranked[] = [];
  for (const item of list) {
    if (!isJsonObject(item)) return null;
    const { index, document, text } = item;
    const score = item['relevance_score'] ?? item['score'];
    if (!isCount(index) || index >= documents || typeof score !== 'number') return null;
    const told = document ?? (typeof text === 'string' ? { text } : undefined);
    ranked.push({ index, relevance_score: score, ...(told === undefined ? {} : { document: told }) });
  }
  return ranked;
}

function usageOf(value: JsonObject): UsageReport | null {
  const { meta } = value;
  const billed =
    isJsonObject(meta) && isJsonObject(meta['billed_units']) ? meta['billed_units']['search_units'] : undefined;
  const tokens = parseOpenAiUsage(value['usage'], { outputless: true });
  if (!isCount(billed)) return tokens;
  const report = tokens ?? { counts: noCounts(), providerCostUsd: null, problems: [] };
  return { ...report, counts: { ...report.counts, searchUnits: billed } };
}
