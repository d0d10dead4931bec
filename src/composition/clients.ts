import { createClientDirectory, createOpenDirectory } from '../access/client-keys.js';
import type { ClientConfig, Config } from '../config/config.js';
import type { Client, ClientDirectory } from '../domain/client.js';
import type { Clock } from '../domain/ports.js';

const EVERYTHING = { allowedProviders: ['*'], allowedModels: ['*'], region: null };

/** Who may ask, as the config says; without `api_keys` everybody on this machine, as the client `open`. */
export function buildDirectory(clients: readonly ClientConfig[] | null, clock: Clock): ClientDirectory {
  if (clients === null) {
    return createOpenDirectory(openClient());
  }
  return createClientDirectory(
    clients.map((config) => ({ client: clientOf(config), keySha256: config.keySha256, expiresAt: config.expiresAt })),
    clock,
  );
}

/** A client that may use everything, without limits. */
export function openClient(): Client {
  return {
    id: 'open',
    access: EVERYTHING,
    limits: { id: 'client:open', settings: {} },
    tags: {},
    hasBudget: false,
  };
}

/** The client of this id; for null one that may use everything. Undefined when there is none. */
export function findClient({ clients }: Config, id: string | null): Client | undefined {
  if (id === null || (clients === null && id === openClient().id)) return openClient();
  const found = clients?.find((client) => client.id === id);
  return found === undefined ? undefined : clientOf(found);
}

export function clientOf(config: ClientConfig): Client {
  return {
    id: config.id,
    access: { allowedProviders: config.allowedProviders, allowedModels: config.allowedModels, region: config.region },
    limits: { id: `client:${config.id}`, settings: config.limits },
    tags: config.tags,
    hasBudget: config.budget !== null,
  };
}
