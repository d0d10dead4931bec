import type { AnswerOutcome, HeaderFields, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject } from '../../domain/task.js';
import { malformed } from '../../wire/fault.js';
import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems, scanMembers } from '../../wire/json-text.js';
import { OutputCollector } from '../../wire/output-collector.js';
import { type ChatIdentity, chatCompletion, createdBy } from '../chat-chunks.js';
import { objectsIn, readJsonAnswer, textOf } from '../json-answer.js';
import { finishOf } from './stop-reason.js';
import { readBedrockUsage } from './usage.js';

/** An answer is called by the id of its request, which AWS gives in a header. */
export function identityOf(headers: HeaderFields = {}, target: UpstreamTarget): ChatIdentity {
  return { id: headers['x-amzn-requestid'] ?? '', created: createdBy(headers), model: target.providerModel };
}

/** A signed thought on its way through a client, in Anthropic's words, with the model that alone may have it back. */
export function thinkingBlock(reasoning: { text: string; signature: string }, model: string): JsonObject {
  return { type: 'thinking', thinking: reasoning.text, signature: reasoning.signature, model };
}

export function redactedBlock(data: string, model: string): JsonObject {
  return { type: 'redacted_thinking', data, model };
}

/**
 * Converse's answer in OpenAI's shape. Thoughts are `reasoning_content`, and `thinking_blocks` with what signs them;
 * citations are `citations`. `metrics`, `trace` and whatever else stands beside the message are kept as they came.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
 */
export function readConverse(answer: UpstreamAnswer, target: UpstreamTarget): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if (read.fault !== null) return { ok: false, fault: read.fault, usage: null };
  const { output, stopReason, usage: used, ...extra } = read.value;
  const usage = readBedrockUsage(used);
  const report = usage?.report ?? null;
  const message = isJsonObject(output) ? output['message'] : null;
  if (!isJsonObject(message) || !Array.isArray(message['content'])) {
    return { ok: false, fault: malformed('the provider’s answer has no message'), usage: report };
  }
  const finish = finishOf(stopReason);
  if (typeof finish !== 'string') return { ok: false, fault: finish, usage: report };
  const completion = chatCompletion({
    identity: identityOf(answer.headers, target),
    message: toMessage(message['content'], inputsIn(read.text), target.providerModel),
    finishReason: finish,
    usage: usage?.shown ?? null,
    extra,
  });
  return {
    ok: true,
    answer: {
      body: JSON.stringify(completion),
      usage: report,
      outputTexts: () => {
        const collector = new OutputCollector();
        collector.add(completion);
        return collector.texts();
      },
    },
  };
}

function toMessage(content: readonly unknown[], inputs: readonly (string | undefined)[], model: string): JsonObject {
  let text = '';
  let reasoning = '';
  const thinking: JsonObject[] = [];
  const calls: JsonObject[] = [];
  const citations: JsonObject[] = [];
  for (const [index, block] of content.entries()) {
    if (!isJsonObject(block)) continue;
    const { toolUse, citationsContent: cited } = block;
    text += textOf(block['text']) ?? '';
    const thought = readThought(block['reasoningContent'], model);
    reasoning += thought.text;
    thinking.push(...thought.blocks);
    if (isJsonObject(toolUse)) {
      const call = { name: toolUse['name'], arguments: inputs[index] ?? '{}' };
      calls.push({ id: toolUse['toolUseId'], type: 'function', function: call });
    }
    if (isJsonObject(cited)) {
      for (const part of objectsIn(cited['content'])) text += textOf(part['text']) ?? '';
      citations.push(...objectsIn(cited['citations']));
    }
  }
  return {
    content: text === '' && calls.length > 0 ? null : text,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(thinking.length === 0 ? {} : { thinking_blocks: thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(citations.length === 0 ? {} : { citations }),
  };
}

function readThought(content: unknown, model: string): { text: string; blocks: JsonObject[] } {
  if (!isJsonObject(content)) return { text: '', blocks: [] };
  const { reasoningText: said, redactedContent: hidden } = content;
  if (typeof hidden === 'string') return { text: '', blocks: [redactedBlock(hidden, model)] };
  if (!isJsonObject(said)) return { text: '', blocks: [] };
  const text = textOf(said['text']) ?? '';
  const signature = textOf(said['signature']);
  return { text, blocks: signature === null ? [] : [thinkingBlock({ text, signature }, model)] };
}

/** The text of each block's tool input, so that its numbers stay as they are. */
function inputsIn(text: string): Array<string | undefined> {
  const at = (object: string | undefined, name: string) => {
    return object?.startsWith('{') === true ? scanMembers(object).get(name) : undefined;
  };
  const content = at(at(at(text.trim(), 'output'), 'message'), 'content') ?? '[]';
  return arrayItems(content).map((item) => at(at(item, 'toolUse'), 'input'));
}
