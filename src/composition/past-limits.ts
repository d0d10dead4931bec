import type { Limiter, LimitScope } from '../domain/limit.js';
import type { Clock } from '../domain/ports.js';
import { readPastCalls } from '../ledger/sqlite/past-calls.js';
import { longestWindowMs } from '../limits/scopes.js';
import { clientOf } from './clients.js';
import type { Generation } from './generation.js';
import { keyScopes } from './providers.js';

/**
 * Counts what was used before this process began, so that a restart gives nobody a second allowance: every window of
 * every key, model and client, from the ledger. Reads nothing where no limit counts over time.
 * @throws UserError when the ledger's file cannot be read
 */
export function restoreLimits(parts: {
  generation: Pick<Generation, 'config' | 'providers'>;
  limiter: Limiter;
  ledgerPath: string;
  clock: Clock;
}): void {
  const { limiter, ledgerPath, clock } = parts;
  const { byKey, byModel, byClient } = limitedScopes(parts.generation);
  const all = [...byKey.values(), ...byModel.values(), ...byClient.values()].flat();
  const reach = Math.max(0, ...all.map(({ settings }) => longestWindowMs(settings)));
  if (reach === 0) return;
  for (const calls of readPastCalls(ledgerPath, clock.now() - reach)) {
    for (const scope of byKey.get(calls.key) ?? []) limiter.restore(scope, calls);
    for (const scope of byModel.get(modelName(calls.provider, calls.providerModel)) ?? [])
      limiter.restore(scope, calls);
    for (const scope of byClient.get(calls.client) ?? [])
      limiter.restore(scope, { ...calls, requests: calls.clientRequests });
  }
}

type Scopes = Map<string, LimitScope[]>;

/** Those that count over time, by what a row of the ledger says of them. */
function limitedScopes({ config, providers }: Pick<Generation, 'config' | 'providers'>) {
  const byKey: Scopes = new Map();
  const byModel: Scopes = new Map();
  const byClient: Scopes = new Map();
  for (const scope of keyScopes(providers)) add(byKey, scope.id.slice('key:'.length), scope);
  for (const target of providers.all.flatMap(({ offer }) => offer.targets)) {
    const { modelScope, providerId, upstream } = target;
    if (modelScope !== null) add(byModel, modelName(providerId, upstream.providerModel), modelScope);
  }
  for (const client of config.clients ?? []) add(byClient, client.id, clientOf(client).limits);
  return { byKey, byModel, byClient };
}

function add(scopes: Scopes, name: string, scope: LimitScope): void {
  if (longestWindowMs(scope.settings) === 0) return;
  const known = scopes.get(name);
  if (known === undefined) scopes.set(name, [scope]);
  else known.push(scope);
}

function modelName(provider: string, providerModel: string): string {
  return JSON.stringify([provider, providerModel]);
}
