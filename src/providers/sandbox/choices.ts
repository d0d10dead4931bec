import type { Input } from './prompt.js';
import { seedOf } from './prompt.js';
import type { Ask } from './reply.js';
import { DEFAULT_WORDS, hashText, sampleOf, type Writing, writeJson, writeText } from './writing.js';

export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** What one choice says, and why it ends. */
export interface Choice extends Omit<Writing, 'finish'> {
  finish: 'stop' | 'length' | 'tool_calls';
  calls: ToolCall[];
}

export interface Settings {
  n: number;
  maxTokens: number | null;
  stops: string[];
}

/** The settings the sandbox honours; the name of the parameter that is wrong otherwise. */
export function readSettings(body: { [key: string]: unknown }): Settings | string {
  const { n, stop } = body;
  if (n != null && !(Number.isInteger(n) && (n as number) >= 1 && (n as number) <= 128)) return 'n';
  for (const name of ['max_tokens', 'max_completion_tokens']) {
    const value = body[name];
    if (value != null && !(Number.isInteger(value) && (value as number) >= 1)) return name;
  }
  const stops = typeof stop === 'string' ? [stop] : (stop ?? []);
  if (!Array.isArray(stops) || !stops.every((item) => typeof item === 'string')) return 'stop';
  const maxTokens = (body['max_completion_tokens'] ?? body['max_tokens'] ?? null) as number | null;
  return { n: (n as number | undefined) ?? 1, maxTokens, stops };
}

/** The choices of a chat: words, a tool call, or JSON that fits a schema. */
export function chatChoices(ask: Ask, inputs: Input[], settings: Settings): Choice[] {
  const calls = toolCalls(ask);
  const seed = seedOf(inputs);
  return Array.from({ length: settings.n }, (_, index): Choice => {
    if (calls.length > 0) {
      const written = calls.map((call) => `${call.function.name} ${call.function.arguments}`).join(' ');
      return { ...writeJson(written), finish: 'tool_calls', calls };
    }
    const schema = wantedSchema(ask.body['response_format']);
    const writing =
      schema === undefined
        ? writeText({ ...settings, seed: seed + index, words: ask.directives.chunks ?? DEFAULT_WORDS })
        : writeJson(JSON.stringify(sampleOf(schema)));
    return { ...writing, calls: [] };
  });
}

/** `n` texts for each prompt. */
export function textChoices(ask: Ask, inputs: Input[], settings: Settings): Choice[] {
  const words = ask.directives.chunks ?? DEFAULT_WORDS;
  return inputs.flatMap((input) =>
    Array.from({ length: settings.n }, (_, index) => ({
      ...writeText({ ...settings, seed: seedOf([input]) + index, words }),
      calls: [],
    })),
  );
}

/** Tools to call: because the script or `tool_choice` says so, and never in answer to a tool's result. */
function toolCalls(ask: Ask): ToolCall[] {
  const { messages, tools, tool_choice: choice } = ask.body;
  const last = Array.isArray(messages) ? (messages.at(-1) as { role?: unknown } | undefined) : undefined;
  if (last?.role === 'tool') return [];
  const named = (choice as { function?: { name?: unknown } } | null | undefined)?.function?.name;
  const isForced = choice === 'required' || typeof named === 'string';
  const count = ask.directives.toolCall ?? (isForced ? 1 : 0);
  const functions = (Array.isArray(tools) ? tools : []).map(
    (tool: { function?: { name?: unknown; parameters?: unknown } } | null) => tool?.function ?? {},
  );
  const offered = typeof named === 'string' ? functions.filter((item) => item.name === named) : functions;
  const chosen =
    offered.length > 0 ? offered.slice(0, count) : [{ name: 'lookup', parameters: LOOKUP }].slice(0, count);
  return chosen.map((item, index) => {
    const args = JSON.stringify(sampleOf(item.parameters ?? { type: 'object' }));
    const name = String(item.name ?? 'lookup');
    const id = `call_sandbox_${index}_${hashText(name + args).toString(16)}`;
    return { id, type: 'function', function: { name, arguments: args } };
  });
}

const LOOKUP = { type: 'object', properties: { query: { type: 'string' } } };

/** The schema of a structured answer, in OpenAI's and TGI's spellings; undefined when plain text is wanted. */
function wantedSchema(format: unknown): unknown {
  if (typeof format !== 'object' || format === null) return undefined;
  const { type, json_schema: named, value } = format as { type?: unknown; json_schema?: unknown; value?: unknown };
  if (type === 'json_schema') return (named as { schema?: unknown } | undefined)?.schema ?? named;
  if (type === 'json_object' || type === 'json') {
    return value ?? { type: 'object', properties: { answer: { type: 'string' } } };
  }
  return undefined;
}
