import type { JsonObject } from '../../src/domain/task.js';
import { isJsonObject } from '../../src/wire/json-object.js';

/** What a model said in its first choice, whether the answer came whole or in chunks. */
export interface Said {
  text: string;
  calls: Array<{ name: string; arguments: string }>;
  finish: string | null;
}

/** Of an answer in OpenAI's shape (one of a list), or the chunks of a stream. */
export function readSaid(parts: readonly JsonObject[]): Said {
  const said: Said = { text: '', calls: [], finish: null };
  for (const part of parts) {
    const choice = listOf(part['choices']).find((one) => (one['index'] ?? 0) === 0);
    if (choice === undefined) continue;
    const message = choice['message'] ?? choice['delta'] ?? choice;
    if (!isJsonObject(message)) continue;
    said.text += textOf(message['content'] ?? message['text']);
    for (const [at, call] of listOf(message['tool_calls']).entries()) addCall(said, call, at);
    if (typeof choice['finish_reason'] === 'string') said.finish = choice['finish_reason'];
  }
  return said;
}

function addCall(said: Said, call: JsonObject, at: number): void {
  const index = typeof call['index'] === 'number' ? call['index'] : at;
  said.calls[index] ??= { name: '', arguments: '' };
  const known = said.calls[index];
  if (!isJsonObject(call['function'])) return;
  known.name += textOf(call['function']['name']);
  known.arguments += textOf(call['function']['arguments']);
}

export function listOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
