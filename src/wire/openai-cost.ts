import type { AnswerBody } from '../domain/body.js';
import { formatUsdShort, type NanoUsd } from '../domain/money.js';
import type { SplitBody } from '../domain/provider.js';
import type { Task } from '../domain/task.js';
import { type Count, isCount, totalInput, totalOutput, type Usage } from '../domain/usage.js';
import { editMembers, replaceMember, rewriteAt, scanMembers, writeObject } from './json-text.js';

/** What a request used and cost, to be written into its answer. */
export interface Charge {
  task: Task;
  /** Null when nothing is known. */
  usage: Usage | null;
  /** Null when unknown. */
  costNanoUsd: NanoUsd | null;
}

/**
 * What a cost is not just added to: a key that may name one, an escape, as nobody knows here what key that is, or one of
 * the figures that reports are made of where it is neither a plain count nor null.
 */
const ODD = /\\|cost|"(?:prompt_tokens|completion_tokens|total_tokens)"\s*:(?!\s*(?:null|\d{1,15})\s*[,}])/;

/**
 * An answer's text with `usage.cost` (USD) and `usage.cost_nano_usd` added; both null when unknown. A provider's own
 * `usage.cost` becomes `usage.provider_cost`. Where the provider gave no usage, our counts stand in its place with their
 * `source`. Everything else stays byte for byte. `body` must be the JSON of an object.
 */
export function withCost(body: string, charge: Charge): string;
export function withCost(body: SplitBody, charge: Charge): readonly Buffer[];
export function withCost(body: string | SplitBody | Buffer, charge: Charge): AnswerBody;
export function withCost(body: string | SplitBody | Buffer, charge: Charge): AnswerBody {
  if (typeof body === 'string') return textWithCost(body, charge);
  // No JSON: there is no place for a usage in it.
  if (Buffer.isBuffer(body)) return body;
  const comma = body.usage === null ? ',' : '';
  const usage = Buffer.from(`${comma}"usage":${usageText(body.usage, charge)}`);
  return [...body.before, usage, ...body.after];
}

function textWithCost(body: string, charge: Charge): string {
  return replaceMember(body, 'usage', (raw) => usageText(raw, charge));
}

/**
 * The data of a stream's usage chunk: the provider's own where it sent one, otherwise one made in the likeness of the
 * stream's chunks.
 */
export function usageChunk(options: {
  identity: { id: string; created: number; model: string };
  /** `StreamReader.usageChunk()`. */
  chunkText: string | null;
  charge: Charge;
}): string {
  const { identity, chunkText, charge } = options;
  if (chunkText !== null) return textWithCost(chunkText, charge);
  return writeObject([
    ['id', JSON.stringify(identity.id)],
    ['object', charge.task === 'completion' ? '"text_completion"' : '"chat.completion.chunk"'],
    ['created', String(identity.created)],
    ['model', JSON.stringify(identity.model)],
    ['choices', '[]'],
    ['usage', usageText(null, charge)],
  ]);
}

/** An answer's text, given once more: it costs nothing now. */
export function bodyAtNoCost(body: string): string {
  const nothing = () => '0';
  return rewriteAt(rewriteAt(body, ['usage', 'cost'], nothing), ['usage', 'cost_nano_usd'], nothing);
}

/** The same of a whole stream's text; its cost is told by the event before the end mark, if at all. */
export function streamAtNoCost(text: string): string {
  const end = text.lastIndexOf('\n\ndata: [DONE]');
  const start = text.lastIndexOf('data: ', end) + 'data: '.length;
  const last = text.slice(start, end);
  if (end === -1 || !last.includes('"cost_nano_usd"')) return text;
  return text.slice(0, start) + bodyAtNoCost(last) + text.slice(end);
}

function usageText(raw: string | null, charge: Charge): string {
  return (raw === null ? null : reportedText(raw, charge)) ?? editedUsageText(raw, charge);
}

/** The way of most answers: the provider reported whole figures and no cost, so that ours is only added. */
function reportedText(raw: string, { usage, costNanoUsd }: Charge): string | null {
  if (usage?.source !== 'reported' || !raw.endsWith('}') || ODD.test(raw)) return null;
  const end = raw.slice(0, -1).trimEnd();
  const comma = end.endsWith('{') ? '' : ',';
  const cost = costNanoUsd === null ? 'null' : formatUsdShort(costNanoUsd);
  return `${end}${comma}"cost":${cost},"cost_nano_usd":${costNanoUsd}${raw.slice(end.length)}`;
}

/** Usage in general: figures that are missing filled by ours, a cost that is there kept under another name. */
function editedUsageText(raw: string | null, charge: Charge): string {
  const cost: Array<[string, string]> =
    charge.costNanoUsd === null
      ? [
          ['cost', 'null'],
          ['cost_nano_usd', 'null'],
        ]
      : [
          ['cost', formatUsdShort(charge.costNanoUsd)],
          ['cost_nano_usd', String(charge.costNanoUsd)],
        ];
  const given = raw?.startsWith('{') === true ? scanMembers(raw) : null;
  if (raw === null || given === null) return writeObject([...ourFigures(charge), ...sourceOf(charge), ...cost]);
  // Beside what the provider gave, our own figures fill what it left out, and are named for what they are. What is no
  // count was not counted with either: the figures that were take its place, and its place in the total.
  const isOurs = charge.usage !== null && charge.usage.source !== 'reported';
  const isFilled = (key: string) => {
    const text = given.get(key) ?? 'null';
    return text === 'null' ? isOurs : !isCount(JSON.parse(text));
  };
  const isPartFilled = isOurs && (isFilled('prompt_tokens') || isFilled('completion_tokens'));
  const filled = ourFigures(charge).filter(([key]) => isFilled(key) || (key === 'total_tokens' && isPartFilled));
  const replaced = new Set(['cost_nano_usd', ...filled.map(([key]) => key)]);
  if (given.has('cost')) replaced.add('provider_cost');
  if (isOurs) replaced.add('source');
  return editMembers(
    raw,
    (key) => {
      if (replaced.has(key)) return null;
      return key === 'cost' ? { key: 'provider_cost' } : undefined;
    },
    [...filled, ...(isOurs ? sourceOf(charge) : []), ...cost],
  );
}

function ourFigures({ task, usage }: Charge): Array<[string, string]> {
  if (usage === null) return [];
  const input = totalInput(usage.counts);
  if (task === 'embedding') {
    return [
      ['prompt_tokens', figure(input)],
      ['total_tokens', figure(input)],
    ];
  }
  const output = totalOutput(usage.counts);
  return [
    ['prompt_tokens', figure(input)],
    ['completion_tokens', figure(output)],
    ['total_tokens', figure(input === null || output === null ? null : input + output)],
  ];
}

function sourceOf({ usage }: Charge): Array<[string, string]> {
  return usage === null ? [] : [['source', JSON.stringify(usage.source)]];
}

function figure(count: Count): string {
  return count === null ? 'null' : String(count);
}
