import { createClientDirectory, createOpenDirectory } from '../access/client-keys.js';
import type { ClientConfig } from '../config/config.js';
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

export function clientOf(config: ClientConfig): Client {
  return {
    id: config.id,
    access: { allowedProviders: config.allowedProviders, allowedModels: config.allowedModels, region: config.region },
    limits: { id: `client:${config.id}`, settings: config.limits },
    tags: config.tags,
    hasBudget: config.budget !== null,
  };
}
