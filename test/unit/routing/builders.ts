import type { KeyPool } from '../../../src/domain/keys.js';
import type { ProviderAdapter } from '../../../src/domain/provider.js';
import type { Access, RouteAsk, Target } from '../../../src/domain/route.js';
import type { ProviderOffer } from '../../../src/routing/resolve.js';

export const EVERYTHING: Access = { allowedProviders: ['*'], allowedModels: ['*'], region: null };

/** Chat and embeddings, by helpers that nothing here calls. */
const ADAPTER = { id: 'test', tasks: { chat: {}, embedding: {} } } as unknown as ProviderAdapter;

export function aPool(readyInMs: number | null = 0): KeyPool {
  return { turn: () => null, usable: () => [], report: () => {}, readyInMs: () => readyInMs, snapshot: () => [] };
}

/** `aTarget('a:m')`: the model `m` of provider `a`. */
export function aTarget(id: string, rest: Partial<Target> = {}): Target {
  const colon = id.indexOf(':');
  const [providerId, model] = [id.slice(0, colon), id.slice(colon + 1)];
  return {
    id,
    providerId,
    model,
    adapter: ADAPTER,
    upstream: {
      providerId,
      providerModel: model,
      baseUrl: 'http://127.0.0.1',
      hasOwnPath: true,
      headers: {},
      extraBody: {},
      dropParams: [],
      maxOutputTokens: null,
      apiVersion: null,
    },
    tasks: ['chat', 'embedding'],
    keys: aPool(),
    modelScope: null,
    price: null,
    contextWindow: null,
    region: null,
    weight: 1,
    timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
    onDisconnect: 'abort',
    ...rest,
  };
}

/** An entry that offers these targets; with `open`, any other model too. */
export function anOffer(
  id: string,
  targets: readonly Target[],
  { open = false, defaultModel = targets[0]?.model ?? null } = {},
): ProviderOffer {
  return { id, targets, defaultModel, openTarget: open ? (model) => aTarget(`${id}:${model}`) : null };
}

export function anAsk(model: string, rest: Partial<RouteAsk> = {}): RouteAsk {
  return { model, task: 'chat', access: EVERYTHING, region: null, inputTokens: 10, outputTokens: 10, ...rest };
}

/** Always the same draws, so that a test of chance is none itself. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
