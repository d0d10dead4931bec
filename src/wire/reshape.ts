import { editMembers, rewriteAt, scanMembers } from './json-text.js';

/** The member of a choice that holds what the model said: `message` in a whole answer, `delta` in a chunk. */
export type MessagePart = 'message' | 'delta';

/** A change of an answer or a chunk, as text, into OpenAI's shape. */
export interface Reshape {
  /** Finds what may need the change; a text without it is not looked at any further. Without flags. */
  needed: RegExp;
  /** `text` is valid JSON. */
  apply(text: string, part: MessagePart): string;
}

/** True when one of these may have something to do. */
export function needsReshape(text: string, reshapes: readonly Reshape[]): boolean {
  for (const { needed } of reshapes) if (needed.test(text)) return true;
  return false;
}

/** The text after each change that has something to do. */
export function reshaped(text: string, reshapes: readonly Reshape[], part: MessagePart): string {
  let result = text;
  for (const reshape of reshapes) if (reshape.needed.test(result)) result = reshape.apply(result, part);
  return result;
}

/**
 * Reasoning that comes as `reasoning` (Groq, Cerebras, OpenRouter, Together, newer vLLM), as `reasoning_content` too: the
 * name that most clients read. The provider's own stays beside it.
 */
export const reasoningContent: Reshape = {
  needed: /"reasoning"\s*:\s*"(?!")/,
  apply: (text, part) =>
    rewriteAt(text, ['choices', '*', part], (raw) => {
      const members = raw.startsWith('{') ? scanMembers(raw) : new Map<string, string>();
      const reasoning = members.get('reasoning');
      if (reasoning === undefined || !reasoning.startsWith('"')) return undefined;
      if ((members.get('reasoning_content') ?? 'null') !== 'null') return undefined;
      return editMembers(raw, (key) => (key === 'reasoning_content' ? null : undefined), [
        ['reasoning_content', reasoning],
      ]);
    }),
};
