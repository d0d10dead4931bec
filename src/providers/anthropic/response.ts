import type { AnswerOutcome, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { finishReasonOf } from '../../wire/anthropic.js';
import { openAiUsageText, parseAnthropicUsage } from '../../wire/anthropic-usage.js';
import { faultIn, malformed } from '../../wire/fault.js';
import { isJsonObject, parseJsonObject } from '../../wire/json-object.js';
import { arrayItems, scanMembers, writeObject } from '../../wire/json-text.js';
import { answerText, isBeyondText, notJson, TOO_LARGE } from '../../wire/openai-answer.js';
import { OutputCollector } from '../../wire/output-collector.js';
import { writeJson } from '../../wire/raw-json.js';
import { secondsOf } from '../answer-date.js';
import { ThinkingTrail } from './thinking-blocks.js';

/**
 * A whole message as OpenAI's chat completion. Texts are joined, thinking is `reasoning_content` for reading and
 * `thinking_blocks` to give back, arguments keep their text. Blocks of tools that run at the provider, and citations,
 * have no place and are left out. The message has no time: `created` is what the answer's `Date` says.
 * Source: https://platform.claude.com/docs/en/api/messages/create
 */
export function readMessage(answer: UpstreamAnswer, target: UpstreamTarget): AnswerOutcome {
  if (isBeyondText(answer)) return { ok: false, fault: malformed(TOO_LARGE), usage: null };
  const text = answerText(answer);
  const value = parseJsonObject(text);
  if (value === null) return { ok: false, fault: malformed(notJson(text)), usage: null };
  const usage = parseAnthropicUsage(value['usage']);
  const fault = faultIn(value);
  if (fault !== null) return { ok: false, fault, usage };
  const { content } = value;
  if (!Array.isArray(content)) {
    return { ok: false, fault: malformed('the provider’s answer has no content'), usage };
  }
  const message = toMessage(value, content, arrayItems(scanMembers(text).get('content') as string), target);
  const choice = { index: 0, message, finish_reason: finishReasonOf(value['stop_reason']), logprobs: null };
  const members: Array<[string, string]> = [
    ['id', JSON.stringify(textOr(value['id'], ''))],
    ['object', '"chat.completion"'],
    ['created', String(secondsOf(answer.headers['date']))],
    ['model', JSON.stringify(textOr(value['model'], target.providerModel))],
    ['choices', `[${writeJson(choice)}]`],
  ];
  if (usage !== null) members.push(['usage', openAiUsageText(usage)]);
  return {
    ok: true,
    answer: {
      body: writeObject(members),
      usage,
      outputTexts: () => {
        const collector = new OutputCollector();
        collector.add({ choices: [choice] });
        return collector.texts();
      },
    },
  };
}

/** Why the model refused, where it says so. */
export function refusalOf(stop: JsonObject): string | null {
  const details = stop['stop_details'];
  const explanation = isJsonObject(details) ? details['explanation'] : null;
  return typeof explanation === 'string' && explanation !== '' ? explanation : null;
}

function toMessage(value: JsonObject, blocks: readonly unknown[], items: string[], target: UpstreamTarget): JsonObject {
  const trail = new ThinkingTrail(target.providerModel);
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: object[] = [];
  for (const [index, block] of blocks.entries()) {
    if (!isJsonObject(block)) continue;
    const { type, text, thinking } = block;
    if (type === 'text' && typeof text === 'string') {
      texts.push(text);
      trail.addText(text);
    } else if (type === 'thinking' && typeof thinking === 'string') {
      thoughts.push(thinking);
      trail.add({ type, thinking, signature: textOr(block['signature'], '') });
    } else if (type === 'redacted_thinking') {
      trail.add({ type, data: textOr(block['data'], '') });
    } else if (type === 'tool_use') {
      const args = scanMembers(items[index] as string).get('input') ?? '{}';
      calls.push({ id: block['id'], type: 'function', function: { name: block['name'], arguments: args } });
      trail.addCall();
    }
  }
  const content = texts.join('');
  const reasoning = thoughts.join('');
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: refusalOf(value),
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(trail.blocks().length === 0 ? {} : { thinking_blocks: trail.blocks() }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function textOr(value: unknown, other: string): string {
  return typeof value === 'string' ? value : other;
}
