import type { Config, ConfigProblem } from '../config/config.js';
import type { ConfigReading } from '../config/config-file.js';
import { isLoopback } from '../config/units.js';
import { formatPath, type YamlPath } from '../config/yaml-path.js';
import { Secret } from '../domain/secret.js';

/** A key whose value is in use from the start of the process to its end. */
interface RestartKey {
  path: YamlPath;
  of: (config: Config) => unknown;
}

const ledgerKey = (name: string, key: string): RestartKey => ({
  path: ['storage', 'ledger', name],
  of: ({ storage }) => (storage.ledger as unknown as Record<string, unknown>)[key],
});
const sharedKey = (name: string, key: string): RestartKey => ({
  path: ['storage', 'shared', name],
  of: ({ storage }) => (storage.shared as unknown as Record<string, unknown>)[key],
});

/** The whole list: everything else takes effect by a reload. */
const RESTART_KEYS: readonly RestartKey[] = [
  { path: ['server', 'listen'], of: ({ server }) => `${server.host}:${server.port}` },
  ledgerKey('type', 'type'),
  ledgerKey('path', 'path'),
  ledgerKey('url', 'url'),
  ledgerKey('pool', 'pool'),
  ledgerKey('durability', 'durability'),
  ledgerKey('retention_days', 'retentionDays'),
  sharedKey('type', 'type'),
  sharedKey('url', 'url'),
  sharedKey('on_failure', 'onFailure'),
  sharedKey('lease', 'leaseMs'),
];

/** The next configuration as far as this process can have it: where it listens and what it writes to stay as they run. */
export function withRunning(next: Config, running: Config): Config {
  const { host, port } = running.server;
  return { ...next, server: { ...next.server, host, port }, storage: running.storage };
}

/** A warning for each key that the file gives another value than the process runs with. */
export function restartWarnings(next: Config, running: Config, lineOf: ConfigReading['lineOf']): ConfigProblem[] {
  return RESTART_KEYS.filter(({ of }) => plain(of(next)) !== plain(of(running))).map(({ path, of }) => ({
    severity: 'warning',
    path: formatPath(path),
    line: lineOf(path),
    message: `takes effect at the next start only; until then ${inUse(of(running))}`,
  }));
}

/** Without clients everybody is let in: never where others than this machine reach the open port. */
export function openModeError(next: Config, running: Config, lineOf: ConfigReading['lineOf']): ConfigProblem | null {
  const { host, port } = running.server;
  if (next.clients !== null || isLoopback(host)) return null;
  return {
    severity: 'error',
    path: 'api_keys',
    line: lineOf(['api_keys']),
    message: `missing, and the router listens on ${host}:${port} until it is restarted; without \`api_keys\` it serves loopback only`,
  };
}

function inUse(value: unknown): string {
  if (value instanceof Secret) return 'the value from the start is in use';
  return value === null || value === undefined ? 'none is in use' : `\`${String(value)}\` is in use`;
}

function plain(value: unknown): string {
  return value instanceof Secret ? value.reveal() : String(value ?? null);
}
