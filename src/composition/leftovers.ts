import { forgetKeys } from '../keys/memory.js';
import type { Foundation, Generation } from './generation.js';

type Leftovers = Pick<Foundation, 'health' | 'budgetMemory' | 'keyMemory' | 'client'>;

/**
 * At a swap: what would be wrong to remember. A target that is gone, or whose provider has another address now, starts
 * without the failures of the old one; the sums of a client without a budget would miss what it spends meanwhile.
 */
export function forgetAtSwap(next: Generation, before: Generation, foundation: Leftovers): void {
  const offers = new Map(
    next.providers.all.map(({ config, offer, baseUrl }) => [config.id, { config, offer, baseUrl }]),
  );
  const addresses = new Map(before.providers.all.map(({ config, baseUrl }) => [config.id, baseUrl]));
  foundation.health.forget((target) => {
    const id = target.slice(0, target.indexOf(':'));
    const provider = offers.get(id);
    if (provider === undefined || provider.baseUrl !== (addresses.get(id) ?? provider.baseUrl)) return true;
    return provider.config.models !== null && !provider.offer.targets.some((offered) => offered.id === target);
  });
  for (const client of foundation.budgetMemory.keys()) {
    if (!next.budgets.has(client)) foundation.budgetMemory.delete(client);
  }
}

/** Once requests have left a configuration: what none of those that are still in use needs. */
export function forgetAfterDrain(inUse: readonly Generation[], foundation: Leftovers): void {
  const providers = inUse.flatMap((generation) => generation.providers.all);
  forgetKeys(foundation.keyMemory, new Set(providers.flatMap(({ keys }) => keys.map(({ id }) => id))));
  const connections = new Set(
    providers.map(({ baseUrl, config }) => `${originOf(baseUrl)} ${config.timeouts.connectMs}`),
  );
  foundation.client.closeUnused((origin, connectMs) => connections.has(`${origin} ${connectMs}`));
}

/**
 * Clients whose budget the one configuration counts from another start than the other, or not at all. What of theirs was
 * under way at the swap is in no sum of the new one: it is counted again when that has ended.
 */
export function rebudgeted(next: Generation, before: Generation): string[] {
  const periods = (generation: Generation) =>
    new Map(
      (generation.config.clients ?? []).map(({ id, budget }) => [id, budget && `${budget.per} ${budget.timeZone}`]),
    );
  const earlier = periods(before);
  return [...periods(next)].filter(([id, period]) => period !== null && earlier.get(id) !== period).map(([id]) => id);
}

function originOf(url: string): string {
  return /^[^/]*:\/\/[^/]*/.exec(url)?.[0] ?? url;
}
