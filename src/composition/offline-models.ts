import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import type { OfferedModel } from '../domain/offered-model.js';
import type { Access, Target } from '../domain/route.js';
import { whyNotAllowed } from '../routing/resolve.js';
import { findClient } from './clients.js';
import { withOfflineRouting } from './offline-routing.js';
import type { Routing } from './routing.js';

/**
 * Everything that a configuration offers to a client (null: to one that may use everything): aliases, then models, a
 * line for each target, then what may be asked for by any name.
 * @throws UserError for a client that is not there
 */
export async function offeredModels(config: Config, clientId: string | null): Promise<OfferedModel[]> {
  const client = findClient(config, clientId);
  if (client === undefined) throw new UserError(`there is no client "${clientId}" in api_keys`);
  const { access } = client;
  return withOfflineRouting(config, ({ routing }) => {
    const reasons = new Map(config.providers.map(({ id, disabledReason }) => [id, disabledReason]));
    const offered = (id: string, isAlias: boolean, target: Target): OfferedModel => ({
      id,
      isAlias,
      provider: target.providerId,
      providerModel: target.upstream.providerModel,
      tasks: target.tasks.filter((task) => target.adapter.tasks[task] !== undefined),
      input: target.price?.rates.input ?? null,
      output: target.price?.rates.output ?? null,
      contextWindow: target.contextWindow,
      region: target.region,
      disabledReason: reasons.get(target.providerId) ?? null,
    });
    const named = routing.router
      .list(access)
      .flatMap(({ id, targets }) => targets.map((target) => offered(id, Object.hasOwn(config.aliases, id), target)));
    const open = openTargets(routing, access).map((target) => ({
      ...offered(`${target.providerId}:*`, false, target),
      providerModel: null,
    }));
    return [...named, ...open];
  });
}

/** One stand-in for each provider that takes any model by name. */
function openTargets({ providers }: Routing, access: Access): Target[] {
  return providers.all.flatMap(({ offer: { openTarget } }) => {
    const target = openTarget?.('*');
    const isAllowed =
      target !== undefined && whyNotAllowed(target, { ...access, allowedModels: ['*'] }, null, target.id) === null;
    return isAllowed ? [target] : [];
  });
}
