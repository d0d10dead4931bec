import { countTokens, hashText } from './writing.js';

/** What a request asks about: texts, or tokens the client counted itself. */
export type Input = string | number[];

export interface Prompt {
  /** Messages of a chat, or the inputs of another task. */
  inputs: Input[];
  /** Which of them may begin with a script; -1 for none. */
  scripted: number;
}

/** The texts of a chat; a script stands in the last user message. Null when `messages` is not a list of messages. */
export function readMessages(messages: unknown): Prompt | null {
  if (!Array.isArray(messages) || messages.length === 0) return null;
  const inputs: Input[] = [];
  let scripted = -1;
  for (const [index, message] of messages.entries()) {
    if (typeof message !== 'object' || message === null) return null;
    const { role, content } = message as { role?: unknown; content?: unknown };
    if (typeof role !== 'string') return null;
    if (role === 'user') scripted = index;
    inputs.push(textOf(content));
  }
  return { inputs, scripted };
}

/** A string, strings, tokens, or lists of tokens. Null for anything else, an empty list too. */
export function readInputs(value: unknown): Prompt | null {
  if (typeof value === 'string') return { inputs: [value], scripted: 0 };
  if (!Array.isArray(value) || value.length === 0) return null;
  if (value.every((item) => typeof item === 'string')) return { inputs: value, scripted: 0 };
  if (isTokens(value)) return { inputs: [value], scripted: -1 };
  return value.every(isTokens) ? { inputs: value, scripted: -1 } : null;
}

/** Tokens of one input: its words, or the tokens it is made of. */
export function tokensOf(input: Input): number {
  return typeof input === 'string' ? countTokens(input) : input.length;
}

export function seedOf(inputs: readonly Input[]): number {
  return hashText(inputs.map((input) => (typeof input === 'string' ? input : input.join(' '))).join('\n'));
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  const texts: string[] = [];
  for (const part of content) {
    const text: unknown = typeof part === 'object' && part !== null ? (part as { text?: unknown }).text : undefined;
    if (typeof text === 'string') texts.push(text);
  }
  return texts.join('\n');
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => Number.isSafeInteger(item));
}
