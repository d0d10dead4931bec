import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems, scanMembers } from '../../wire/json-text.js';
import { RawJson, type Writable } from '../../wire/raw-json.js';
import { refuse } from './refuse.js';

export interface Tools {
  tools: Writable | undefined;
  /** At least one function wants its schema kept to. */
  isStrict: boolean;
}

/**
 * Functions as declarations, their JSON Schema as it was written. A tool without a `type` is Gemini's own
 * (`{"googleSearch": {}}`) and passes as it is.
 * Source: https://ai.google.dev/api/caching#Tool
 */
export function toTools(raw: string): Tools {
  const list: unknown = JSON.parse(raw);
  if (!Array.isArray(list)) refuse('tools', 'must be a list');
  const texts = arrayItems(raw);
  const declarations: Writable[] = [];
  const own: Writable[] = [];
  let isStrict = false;
  for (const [index, tool] of (list as unknown[]).entries()) {
    const at = `tools[${index}]`;
    if (!isJsonObject(tool)) refuse(at, 'must be an object');
    if (tool['type'] === undefined) {
      own.push(new RawJson(texts[index] as string));
      continue;
    }
    const fn = tool['function'];
    if (tool['type'] !== 'function') refuse(`${at}.type`, 'gemini takes tools of type function');
    if (!isJsonObject(fn) || typeof fn['name'] !== 'string') refuse(`${at}.function`, 'must have a name');
    isStrict ||= fn['strict'] === true;
    const members = scanMembers(scanMembers(texts[index] as string).get('function') as string);
    declarations.push({
      name: fn['name'],
      description: typeof fn['description'] === 'string' ? fn['description'] : undefined,
      parametersJsonSchema: isJsonObject(fn['parameters'])
        ? new RawJson(members.get('parameters') as string)
        : undefined,
    });
  }
  const tools = declarations.length === 0 ? own : [{ functionDeclarations: declarations }, ...own];
  return { tools: tools.length === 0 ? undefined : tools, isStrict };
}

/**
 * `tool_choice` as a function calling config. Where functions are strict and need not be called, the mode is the one that
 * keeps calls to their schema all the same.
 * Source: https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
 */
export function toCallingConfig(choice: unknown, isStrict: boolean): Writable | undefined {
  if (choice === undefined || choice === null) return isStrict ? { mode: 'VALIDATED' } : undefined;
  if (choice === 'none') return { mode: 'NONE' };
  if (choice === 'auto') return { mode: isStrict ? 'VALIDATED' : 'AUTO' };
  if (choice === 'required') return { mode: 'ANY' };
  const named = isJsonObject(choice) ? choice[choice['type'] as string] : undefined;
  if (isJsonObject(choice) && isJsonObject(named) && choice['type'] === 'function') {
    return { mode: 'ANY', allowedFunctionNames: [nameOf(named, 'tool_choice.function')] };
  }
  if (
    isJsonObject(choice) &&
    isJsonObject(named) &&
    choice['type'] === 'allowed_tools' &&
    Array.isArray(named['tools'])
  ) {
    const allowedFunctionNames = named['tools'].map((tool: unknown, index) => {
      const fn = isJsonObject(tool) ? tool['function'] : undefined;
      return nameOf(isJsonObject(fn) ? fn : {}, `tool_choice.allowed_tools.tools[${index}].function`);
    });
    return { mode: named['mode'] === 'required' ? 'ANY' : 'VALIDATED', allowedFunctionNames };
  }
  refuse('tool_choice', 'must be none, auto, required, a function or allowed_tools for gemini');
}

function nameOf(fn: JsonObject, at: string): string {
  const { name } = fn;
  if (typeof name !== 'string') refuse(`${at}.name`, 'must be the name of a function');
  return name;
}
