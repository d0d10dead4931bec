import type { AnswerOutcome, Payload, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { TaskRequest } from '../../domain/task.js';
import { noCounts, totalInput, type UsageReport } from '../../domain/usage.js';
import { toEmbeddingFormat } from '../../wire/embedding.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { arrayItems, scanMembers } from '../../wire/json-text.js';
import { RawJson, type Writable, writeJson } from '../../wire/raw-json.js';
import { Parameters } from './parameters.js';
import { refuse } from './refuse.js';
import { parseAnswer } from './response.js';
import { readUsage } from './usage.js';

/** True where one text is asked for alone, and not in a batch. */
export function isSingle(request: TaskRequest): boolean {
  const { input } = request.body.value;
  return !Array.isArray(input) || input.length === 1;
}

/**
 * One text for `embedContent`, several for `batchEmbedContents`. `dimensions` is `outputDimensionality`; members that are
 * not OpenAI's (`taskType`, `title`) go with each text.
 * Source: https://ai.google.dev/api/embeddings
 * @throws WaybillError invalid_request for tokens instead of texts
 */
export function prepareEmbedding(request: TaskRequest, target: UpstreamTarget, model: string): Payload {
  const parameters = new Parameters(request, target);
  for (const name of ['model', 'encoding_format', 'user']) parameters.take(name);
  const input = parameters.takeValue('input');
  const texts: unknown[] = Array.isArray(input) ? input : [input];
  const dimensions = parameters.take('dimensions');
  const others: Array<[string, Writable]> = [...parameters.rest()].map(([key, raw]) => [key, new RawJson(raw)]);
  const requests = texts.map((text) => {
    if (typeof text !== 'string') refuse('input', 'gemini embeds texts, not tokens');
    return {
      model,
      ...Object.fromEntries(others),
      content: { parts: [{ text }] },
      outputDimensionality: dimensions === undefined ? undefined : new RawJson(dimensions),
    };
  });
  return { kind: 'json', body: writeJson(isSingle(request) ? (requests[0] as Writable) : { requests }) };
}

/** The vectors in OpenAI's shape, in the format asked for, their numbers as the provider wrote them. */
export function readEmbedding(answer: UpstreamAnswer, request: TaskRequest, target: UpstreamTarget): AnswerOutcome {
  const parsed = parseAnswer(answer);
  if ('fault' in parsed) return { ok: false, fault: parsed.fault, usage: null };
  const { value, text } = parsed;
  const usage = usageOf(value['usageMetadata']);
  const { input } = request.body.value;
  const inputs = Array.isArray(input) ? input.length : 1;
  const vectors = vectorTexts(text);
  const fault =
    faultIn(value) ??
    (vectors.length === inputs ? null : malformed(`the provider’s answer has no vector for each of ${inputs} inputs`));
  if (fault !== null) return { ok: false, fault, usage };
  const isBase64 = request.body.value['encoding_format'] === 'base64';
  const data = vectors.map((vector, index) => {
    const embedding = (isBase64 ? toEmbeddingFormat(vector, 'base64') : undefined) ?? vector;
    return `{"object":"embedding","index":${index},"embedding":${embedding}}`;
  });
  const reported = usage === null ? '' : `,"usage":${openAiUsage(usage)}`;
  const body = `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(target.providerModel)}${reported}}`;
  return { ok: true, answer: { body, usage, outputTexts: () => [] } };
}

/** The text of each vector: of `embeddings`, or of the one `embedding`. */
function vectorTexts(text: string): string[] {
  const members = scanMembers(text);
  const many = members.get('embeddings');
  const one = members.get('embedding');
  const items = many?.startsWith('[') === true ? arrayItems(many) : one === undefined ? [] : [one];
  return items
    .map((item) => (item.startsWith('{') ? scanMembers(item).get('values') : undefined))
    .filter((vector) => vector?.startsWith('[') === true) as string[];
}

/** Only newer models say what was used; there is no output. */
function usageOf(metadata: unknown): UsageReport | null {
  const read = readUsage(metadata);
  if (read === null) return null;
  const { input, cachedInput, audioInput } = read.report.counts;
  return { ...read.report, counts: { ...noCounts(), input, cachedInput, audioInput } };
}

function openAiUsage({ counts }: UsageReport): string {
  const tokens = totalInput(counts);
  return `{"prompt_tokens":${tokens},"total_tokens":${tokens}}`;
}
