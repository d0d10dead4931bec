import { WaybillError } from '../domain/errors.js';
import type { UpstreamTarget } from '../domain/provider.js';
import type { TaskRequest } from '../domain/task.js';
import { editMembers, rewriteAt, scanMembers } from '../wire/json-text.js';

/** What a provider does with OpenAI's parameters that it takes in another way, or not at all. The rest passes as it is. */
export interface ParameterRules {
  /** Names that mean the same here. Where the client gave both, the provider's own counts. */
  rename?: Readonly<Record<string, string>>;
  /** Values that mean the same here, by parameter; both as JSON text. */
  values?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Left out: the provider has no place for it, and the answer is the same without it. */
  leaveOut?: readonly string[];
  /** Refused, unless the value is OpenAI's default, which asks for nothing and is left out. */
  refuse?: readonly string[];
  /** The types of `response_format` the provider has beside `text`, where it has not all of them. */
  responseFormats?: readonly string[];
  /** Takes `input` as text, not as tokens. */
  textInput?: true;
  /** What takes several members together. */
  combine?: (members: Map<string, string>) => void;
  /** Changes of the messages' text, in order. */
  messages?: ReadonlyArray<(messages: string) => string>;
}

/** Parameters of accounts and storage, without effect on the answer: for providers that have no place for them. */
export const NO_EFFECT: readonly string[] = [
  'user',
  'store',
  'metadata',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
];

/**
 * OpenAI's defaults as JSON: https://platform.openai.com/docs/api-reference/chat/create,
 * https://platform.openai.com/docs/api-reference/images/create, https://platform.openai.com/docs/api-reference/audio/createSpeech
 */
const DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  n: ['1'],
  logprobs: ['false'],
  top_logprobs: ['0'],
  frequency_penalty: ['0'],
  presence_penalty: ['0'],
  logit_bias: ['{}'],
  parallel_tool_calls: ['true'],
  verbosity: ['"medium"'],
  quality: ['"auto"'],
  background: ['"auto"'],
  moderation: ['"auto"'],
  speed: ['1'],
  tools: ['[]'],
  // Without tools, which are refused themselves, there is nothing to choose.
  tool_choice: ['"auto"', '"none"'],
};

/**
 * The client's members as this provider takes them. What the target drops is not looked at.
 * @throws WaybillError invalid_request that names the parameter, for what the provider cannot do
 */
export function applyRules(request: TaskRequest, target: UpstreamTarget, rules: ParameterRules): Map<string, string> {
  const members = new Map(request.body.members);
  for (const name of target.dropParams) members.delete(name);
  for (const name of rules.leaveOut ?? []) members.delete(name);
  for (const name of rules.refuse ?? []) {
    if (members.has(name) && !asksForNothing(name, request)) refuse(name, `\`${name}\``, target);
    members.delete(name);
  }
  checkValues(members, request, target, rules);
  const messages = members.get('messages');
  if (messages !== undefined && rules.messages !== undefined) {
    members.set(
      'messages',
      rules.messages.reduce((text, change) => change(text), messages),
    );
  }
  rules.combine?.(members);
  for (const name in rules.values) {
    const value = rules.values[name]?.[members.get(name) ?? ''];
    if (value !== undefined) members.set(name, value);
  }
  for (const name in rules.rename) rename(members, name, rules.rename[name] as string);
  return members;
}

function checkValues(
  members: ReadonlyMap<string, string>,
  request: TaskRequest,
  target: UpstreamTarget,
  rules: ParameterRules,
): void {
  const { value } = request.body;
  if (rules.responseFormats !== undefined && members.has('response_format')) {
    const type = (value['response_format'] as { type?: unknown } | null)?.type;
    if (typeof type === 'string' && type !== 'text' && !rules.responseFormats.includes(type)) {
      refuse('response_format', `\`response_format\` of type \`${type}\``, target);
    }
  }
  if (rules.textInput === true) {
    const { input } = value;
    if (Array.isArray(input) && typeof input[0] !== 'string') refuse('input', '`input` as tokens', target);
  }
}

function asksForNothing(name: string, request: TaskRequest): boolean {
  const value = request.body.value[name];
  return value === null || DEFAULTS[name]?.includes(JSON.stringify(value)) === true;
}

function rename(members: Map<string, string>, from: string, to: string): void {
  const raw = members.get(from);
  if (raw === undefined) return;
  members.delete(from);
  if (!members.has(to)) members.set(to, raw);
}

function refuse(param: string, what: string, target: UpstreamTarget): never {
  throw new WaybillError('invalid_request', {
    message: `${what} is not supported by provider \`${target.providerId}\`; its \`drop_params\` can leave the parameter out`,
    param,
  });
}

/** For providers without the role `developer`, which is OpenAI's newer word for `system`. */
export function developerAsSystem(messages: string): string {
  if (!messages.includes('"developer"')) return messages;
  return rewriteAt(messages, ['*', 'role'], (raw) => (raw === '"developer"' ? '"system"' : undefined));
}

/** For providers that take an earlier turn's reasoning under another name than `reasoning_content`. */
export function reasoningAs(name: string): (messages: string) => string {
  return (messages) => {
    if (!messages.includes('"reasoning_content"')) return messages;
    return rewriteAt(messages, ['*'], (raw) => {
      if (!raw.startsWith('{')) return undefined;
      const own = scanMembers(raw).get(name) ?? 'null';
      return editMembers(raw, (key) => {
        if (key === name && own === 'null') return null;
        if (key !== 'reasoning_content') return undefined;
        return own === 'null' ? { key: name } : null;
      });
    });
  };
}
