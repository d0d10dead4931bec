import type { Payload, UpstreamTarget } from '../domain/provider.js';
import type { TaskRequest } from '../domain/task.js';
import { writeObject } from '../wire/json-text.js';

/**
 * The members of an upstream body: what the config adds, under the client's own, byte for byte, without what the config
 * drops and without the client's name of the model. `asked`: the client's own as the provider takes them.
 */
export function membersOf(
  request: TaskRequest,
  target: UpstreamTarget,
  asked: ReadonlyMap<string, string> = request.body.members,
): Map<string, string> {
  const members = new Map<string, string>();
  for (const key in target.extraBody) members.set(key, JSON.stringify(target.extraBody[key]));
  for (const [key, raw] of asked) members.set(key, raw);
  for (const name of target.dropParams) members.delete(name);
  members.delete('model');
  return members;
}

/** The same as a body, the provider's name of the model first. */
export function namedPayload(members: Map<string, string>, target: UpstreamTarget): Payload {
  return { kind: 'json', body: writeObject([['model', JSON.stringify(target.providerModel)], ...members]) };
}
