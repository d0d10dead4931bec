import type { Payload, UpstreamTarget } from '../domain/provider.js';
import { type TaskRequest, writesText } from '../domain/task.js';
import { editMembers, writeObject } from '../wire/json-text.js';
import { applyRules, type ParameterRules } from './parameter-rules.js';

/** How a provider wants the bound of an answer's tokens named. */
export type MaxTokensName = 'max_tokens' | 'max_completion_tokens';

export interface OpenAiPayloadOptions {
  /**
   * `ask`: usage of a stream comes when asked for by `stream_options`. `comes-anyway`: it need not be asked for.
   * `refused`: asking is an error, and a client's asking is taken out.
   */
  streamUsage: 'ask' | 'comes-anyway' | 'refused';
  /** The one name this model takes; null when either is passed on as the client wrote it. */
  maxTokensName: (providerModel: string, request: TaskRequest) => MaxTokensName | null;
  /** Null: every parameter passes. */
  rules: ParameterRules | null;
}

/**
 * The upstream body in OpenAI's dialect: the provider's name of the model first, then what the config adds, then the
 * client's members, byte for byte.
 */
export function prepareOpenAiPayload(
  request: TaskRequest,
  target: UpstreamTarget,
  options: OpenAiPayloadOptions,
): Payload {
  const model = `{"model":${JSON.stringify(target.providerModel)}`;
  const unchanged = passesAsItIs(request, target, options) ? request.body.restAfterFirst?.('model') : null;
  if (unchanged != null) return { kind: 'json', body: `${model},${unchanged}` };
  const members = new Map<string, string>();
  const asked = options.rules === null ? request.body.members : applyRules(request, target, options.rules);
  for (const key in target.extraBody) {
    if (!asked.has(key)) members.set(key, JSON.stringify(target.extraBody[key]));
  }
  for (const [key, raw] of asked) members.set(key, raw);
  members.delete('model');
  if (writesText(request.task)) boundOutput(members, request, target, options);
  if (request.stream) askForUsage(members, options);
  for (const name of target.dropParams) members.delete(name);
  const rest = writeObject(members);
  return { kind: 'json', body: rest === '{}' ? `${model}}` : `${model},${rest.slice(1)}` };
}

/** True where nothing but the model's name is anybody's to change: the way of most requests. */
function passesAsItIs(request: TaskRequest, target: UpstreamTarget, options: OpenAiPayloadOptions): boolean {
  if (request.stream || options.rules !== null || target.dropParams.length > 0) return false;
  for (const _ in target.extraBody) return false;
  if (!writesText(request.task)) return true;
  return target.maxOutputTokens === null && options.maxTokensName(target.providerModel, request) === null;
}

/** Names the output bound as the model wants it, and keeps it within the target's. */
function boundOutput(
  members: Map<string, string>,
  request: TaskRequest,
  target: UpstreamTarget,
  options: OpenAiPayloadOptions,
): void {
  const wanted = options.maxTokensName(target.providerModel, request);
  const other = wanted === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens';
  const misnamed = wanted === null ? undefined : members.get(other);
  if (wanted !== null && misnamed !== undefined) {
    members.delete(other);
    if (!isGiven(members.get(wanted))) members.set(wanted, misnamed);
  }
  const cap = target.maxOutputTokens;
  if (cap === null) return;
  let isBounded = false;
  for (const name of ['max_completion_tokens', 'max_tokens']) {
    const raw = members.get(name);
    if (!isGiven(raw)) continue;
    isBounded = true;
    // 0 and -1 mean no bound to the servers that take them.
    if (Number(raw) > cap || Number(raw) <= 0) members.set(name, String(cap));
  }
  if (!isBounded) members.set(wanted ?? 'max_tokens', String(cap));
}

function isGiven(raw: string | undefined): raw is string {
  return raw !== undefined && raw !== 'null';
}

function askForUsage(members: Map<string, string>, { streamUsage }: OpenAiPayloadOptions): void {
  if (streamUsage === 'comes-anyway') return;
  if (streamUsage === 'refused') {
    members.delete('stream_options');
    return;
  }
  const given = members.get('stream_options');
  if (given === undefined || !given.startsWith('{')) {
    members.set('stream_options', '{"include_usage":true}');
    return;
  }
  let isThere = false;
  const asked = editMembers(given, (key) => {
    if (key !== 'include_usage') return undefined;
    isThere = true;
    return { raw: 'true' };
  });
  members.set('stream_options', isThere ? asked : editMembers(given, () => undefined, [['include_usage', 'true']]));
}
