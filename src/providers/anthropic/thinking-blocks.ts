import type { JsonObject } from '../../domain/task.js';
import type {
  ContentBlock,
  RedactedThinkingBlock,
  TextBlock,
  ThinkingBlock,
  ToolUseBlock,
} from '../../wire/anthropic.js';
import { isJsonObject } from '../../wire/json-object.js';

/**
 * A thinking block on its way through a client that speaks OpenAI's dialect, as an item of the message's
 * `thinking_blocks` (LiteLLM's name for them). The block is Anthropic's own, with its signature. Two members of ours are
 * beside it, and are taken off before it goes back: the model that thought it, because newer models refuse what another
 * one thought, and what of the message stood before it, because the order of blocks must not change either.
 * Sources: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks,
 * https://platform.claude.com/docs/en/models/opus-5-5/migration-guide, https://docs.litellm.ai/docs/reasoning_content
 */
export type CarriedThinking = (ThinkingBlock | RedactedThinkingBlock) & {
  /** The provider's id of the model. */
  model?: string;
  /** Characters of content and number of tool calls before this block; absent for none of either. */
  after?: { content: number; tool_calls: number };
};

/** Gathers the thinking of one answer, whole or streamed, with what comes between. */
export class ThinkingTrail {
  readonly #model: string;
  readonly #blocks: CarriedThinking[] = [];
  #content = 0;
  #calls = 0;

  constructor(model: string) {
    this.#model = model;
  }

  addText(text: string): void {
    this.#content += text.length;
  }

  addCall(): void {
    this.#calls += 1;
  }

  /** Gives the block that is carried, which may still grow. */
  add<T extends ThinkingBlock | RedactedThinkingBlock>(block: T): T {
    const isFirst = this.#content === 0 && this.#calls === 0;
    const after = isFirst ? {} : { after: { content: this.#content, tool_calls: this.#calls } };
    const carried = { ...block, model: this.#model, ...after };
    this.#blocks.push(carried);
    return carried;
  }

  blocks(): readonly CarriedThinking[] {
    return this.#blocks;
  }
}

/**
 * The content of an assistant's message with its thinking back where it was. Thinking of another model is left out, and
 * so is what is no signed block: the API takes back only what it gave.
 */
export function withThinking(
  carried: unknown,
  model: string,
  texts: readonly TextBlock[],
  calls: readonly ToolUseBlock[],
): ContentBlock[] {
  const thinking = (Array.isArray(carried) ? carried : []).filter((block) => isOwn(block, model));
  const [text] = texts;
  // Offsets count characters of one text: in a list of texts they have no meaning.
  const whole = texts.length === 1 && text !== undefined ? text.text : '';
  const blocks: ContentBlock[] = [];
  let textAt = 0;
  let callAt = 0;
  for (const block of thinking) {
    const after = isJsonObject(block['after']) ? block['after'] : {};
    const [textTo, callTo] = [
      offset(after['content'], textAt, whole.length),
      offset(after['tool_calls'], callAt, calls.length),
    ];
    if (textTo > textAt) blocks.push({ type: 'text', text: whole.slice(textAt, textTo) });
    blocks.push(...calls.slice(callAt, callTo), bare(block));
    textAt = textTo;
    callAt = callTo;
  }
  if (textAt === 0) blocks.push(...texts);
  else if (textAt < whole.length) blocks.push({ ...(text as TextBlock), text: whole.slice(textAt) });
  return [...blocks, ...calls.slice(callAt)];
}

function isOwn(block: unknown, model: string): block is JsonObject {
  if (!isJsonObject(block)) return false;
  if (block['model'] !== undefined && block['model'] !== model) return false;
  if (block['type'] === 'redacted_thinking') return typeof block['data'] === 'string';
  return block['type'] === 'thinking' && typeof block['signature'] === 'string' && block['signature'] !== '';
}

/** The block as Anthropic gave it. */
function bare(block: JsonObject): ThinkingBlock | RedactedThinkingBlock {
  const { model: _model, after: _after, ...rest } = block;
  return rest as unknown as ThinkingBlock | RedactedThinkingBlock;
}

function offset(value: unknown, least: number, most: number): number {
  return Number.isSafeInteger(value) ? Math.min(Math.max(value as number, least), most) : least;
}
