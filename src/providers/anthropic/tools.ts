import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems, editMembers, scanMembers, writeObject } from '../../wire/json-text.js';
import { refuse } from './refuse.js';

const NO_PARAMETERS = '{"type":"object","properties":{}}';

/**
 * OpenAI's function tools as Anthropic's: `parameters` is `input_schema`, `strict: true` stays. Whatever else stands on
 * the tool beside `function` goes along (`cache_control`, `input_examples`, …). A tool in Anthropic's own shape that the
 * client runs itself passes as it is; tools that run at the provider have answers OpenAI's dialect has no place for.
 * Null where there are none.
 * Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
 * @throws WaybillError invalid_request for any other tool
 */
export function toTools(tools: unknown, text: string | undefined): string | null {
  if (tools === undefined || text === undefined) return null;
  if (!Array.isArray(tools)) refuse('tools', 'must be a list');
  const items = arrayItems(text);
  const written = tools.map((tool: unknown, index) => toTool(tool, items[index] as string, `tools[${index}]`));
  return written.length === 0 ? null : `[${written.join(',')}]`;
}

function toTool(tool: unknown, text: string, at: string): string {
  if (!isJsonObject(tool)) refuse(at, 'must be an object');
  const { type, function: fn } = tool;
  if (isJsonObject(tool['input_schema']) && (type === undefined || type === null || type === 'custom')) return text;
  if (type !== 'function') refuse(`${at}.type`, `\`${String(type)}\` is not taken; function tools are`);
  if (!isJsonObject(fn) || typeof fn['name'] !== 'string') refuse(`${at}.function.name`, 'must be a text');
  const members = scanMembers(text);
  const inner = scanMembers(members.get('function') as string);
  const named: Array<readonly [string, string]> = [['name', inner.get('name') as string]];
  if (typeof fn['description'] === 'string') named.push(['description', inner.get('description') as string]);
  named.push(['input_schema', inputSchema(fn['parameters'], inner.get('parameters'), `${at}.function.parameters`)]);
  if (fn['strict'] === true) named.push(['strict', 'true']);
  if (fn['cache_control'] != null) named.push(['cache_control', inner.get('cache_control') as string]);
  for (const [key, raw] of members) {
    if (key !== 'type' && key !== 'function' && raw !== 'null') named.push([key, raw]);
  }
  return writeObject(named);
}

/** A schema that does not say so is of an object all the same. */
function inputSchema(parameters: unknown, text: string | undefined, at: string): string {
  if (parameters === undefined || parameters === null) return NO_PARAMETERS;
  if (!isJsonObject(parameters)) refuse(at, 'must be a JSON schema');
  if (parameters['type'] !== undefined) return text as string;
  return editMembers(text as string, () => undefined, [['type', '"object"']]);
}

/**
 * OpenAI's `tool_choice` and `parallel_tool_calls` as Anthropic's `tool_choice`; null where the default says as much.
 * Without tools there is nothing to choose.
 * Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools#controlling-claudes-output
 * @throws WaybillError invalid_request for a choice among some of the tools
 */
export function toToolChoice(choice: unknown, parallel: unknown, hasTools: boolean): object | null {
  const chosen = chosenTool(choice);
  if (!hasTools && (chosen.type === 'auto' || chosen.type === 'none')) return null;
  if (chosen.type === 'none') return chosen;
  if (parallel === false) return { ...chosen, disable_parallel_tool_use: true };
  return choice === undefined ? null : chosen;
}

function chosenTool(choice: unknown): { type: 'auto' | 'any' | 'none' } | { type: 'tool'; name: string } {
  if (choice === undefined || choice === 'auto') return { type: 'auto' };
  if (choice === 'none') return { type: 'none' };
  if (choice === 'required') return { type: 'any' };
  const name =
    isJsonObject(choice) &&
    choice['type'] === 'function' &&
    isJsonObject(choice['function']) &&
    choice['function']['name'];
  if (typeof name === 'string') return { type: 'tool', name };
  return refuse('tool_choice', 'must be auto, none, required or one function by its name');
}
