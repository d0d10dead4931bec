import { systemClock } from '../../src/composition/clock.js';
import { buildProvider } from '../../src/composition/targets.js';
import { parseConfigText } from '../../src/config/parse.js';
import type { ProviderAdapter } from '../../src/domain/provider.js';
import type { Target } from '../../src/domain/route.js';
import { Secret } from '../../src/domain/secret.js';
import { adapters } from '../../src/providers/registry.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A provider as the daemon would be configured for it: its adapter's own sample entry, with keys of the environment. */
export interface LiveEntry {
  adapter: ProviderAdapter;
  key: Secret;
  /** Everything that must not stand in what is written down. */
  secrets: string[];
  target(model: string): Target;
}

/** A variable is not set, or an option is wrong: nothing is sent. The message says which. */
export class NotReadyError extends Error {}

/** The variables an adapter's sample entry takes from the environment, and whether it can do without. */
export function variablesOf(adapter: ProviderAdapter): Array<{ name: string; isNeeded: boolean }> {
  const references = JSON.stringify(adapter.sampleConfig()).matchAll(/\$\{(?:env\.)?(\w+)(:[-=][^}]*)?\}/g);
  return [...references].map(([, name = '', fallback]) => ({ name, isNeeded: fallback === undefined }));
}

/**
 * @param baseUrl where to ask instead of the provider's own address; null for that
 * @throws NotReadyError
 */
export function openEntry(adapter: ProviderAdapter, baseUrl: string | null, env: Environment): LiveEntry {
  const variables = variablesOf(adapter);
  const missing = variables.filter(({ name, isNeeded }) => isNeeded && !env[name]).map(({ name }) => name);
  if (missing.length > 0) {
    throw new NotReadyError(`${adapter.id}: set ${missing.join(' and ')} to a key of yours; nothing was sent`);
  }
  const given = variables.flatMap(({ name }) => env[name] || []);
  if (given.length === 0 && baseUrl === null) {
    const names = variables.map(({ name }) => name);
    const key = names.length === 0 ? '' : `set ${names.join(' or ')}, or `;
    throw new NotReadyError(
      `${adapter.id} works without a key: ${key}say where it is with --base-url; nothing was sent`,
    );
  }
  const entry = { ...adapter.sampleConfig(), ...(baseUrl === null ? {} : { base_url: baseUrl }) };
  const { config, problems } = parseConfigText({
    text: JSON.stringify({ llm_providers: [entry] }),
    knownTypes: adapters,
    env,
    readFile: () => {
      throw new NotReadyError('a sample entry names no file');
    },
  });
  const [provider] = config?.providers ?? [];
  if (provider === undefined) throw new NotReadyError(problems.map(({ message }) => message).join('; '));
  const parts = {
    findAdapter: () => adapter,
    keyMemory: new Map(),
    clock: systemClock,
    random: Math.random,
    backoff: { intervalMs: 1, maxIntervalMs: 1 },
    sandboxUrl: adapter.inline === true ? baseUrl : null,
  };
  const built = buildProvider(provider, 0, parts);
  const key = built.keys[0]?.secret ?? new Secret('');
  return {
    adapter,
    key,
    secrets: [...new Set([key.reveal(), ...given, ...(adapter.secretsIn?.(key) ?? [])])].filter((text) => text !== ''),
    target(model) {
      const target = built.offer.openTarget?.(model) ?? built.offer.targets.find((one) => one.model === model);
      if (target === undefined) throw new NotReadyError(`${adapter.id} has no model ${model}`);
      return target;
    },
  };
}
