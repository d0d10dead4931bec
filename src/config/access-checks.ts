import { createHash } from 'node:crypto';
import { asText } from './fields.js';
import { listAt, mappingAt } from './references.js';
import { isLoopback, type ListenAddress } from './units.js';
import { errorAt, type Finding, warningAt } from './yaml-path.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

/** SHA-256 of a client key, lower-case hex. */
export function keyHash(key: string): string {
  return createHash('sha256').update(key, 'utf8').digest('hex');
}

/** Who may call: open mode only on this machine, no key for two purposes, CORS that browsers accept. */
export function checkAccess(tree: YamlMapping, listen: ListenAddress | null): Finding[] {
  return [...checkOpenMode(tree, listen), ...checkKeyGiven(tree), ...checkClientKeys(tree), ...checkServer(tree)];
}

function checkOpenMode(tree: YamlMapping, listen: ListenAddress | null): Finding[] {
  const clients = tree['api_keys'];
  if (Array.isArray(clients) && clients.length === 0) {
    return [warningAt(['api_keys'], 'the list is empty, so no client may call; leave the key out for open mode')];
  }
  if (clients !== undefined || listen === null || isLoopback(listen.host)) return [];
  return [
    errorAt(
      ['server', 'listen'],
      `without \`api_keys\` anyone who reaches ${listen.host} could spend your money; add \`api_keys\`, or listen on 127.0.0.1`,
    ),
  ];
}

function checkKeyGiven(tree: YamlMapping): Finding[] {
  return listAt(tree, 'api_keys').flatMap((client, index) => {
    if (!isMapping(client)) return [];
    const { key, key_sha256: hash } = client;
    const at = ['api_keys', index];
    if (key === undefined && hash === undefined)
      return [errorAt([...at, 'key'], 'missing; give `key` or `key_sha256`')];
    if (key !== undefined && hash !== undefined) {
      return [errorAt([...at, 'key_sha256'], 'give either `key` or `key_sha256`, not both')];
    }
    const isEmpty = typeof key === 'string' && key.trim() === '';
    return isEmpty ? [errorAt([...at, 'key'], 'the key is empty; a client needs one')] : [];
  });
}

function checkClientKeys(tree: YamlMapping): Finding[] {
  const seen = new Map<string, number>();
  const adminKey = asText(mappingAt(tree, 'server')['admin_api_key']);
  const adminHash = adminKey === undefined || adminKey === '' ? null : keyHash(adminKey);
  return listAt(tree, 'api_keys').flatMap((client, index) => {
    const hash = clientHash(client);
    if (hash === null) return [];
    const path = ['api_keys', index, isMapping(client) && client['key'] === undefined ? 'key_sha256' : 'key'];
    if (hash === adminHash)
      return [errorAt(path, 'the same key as `server.admin_api_key`; a client needs one of its own')];
    const first = seen.get(hash);
    if (first === undefined) seen.set(hash, index);
    return first === undefined ? [] : [errorAt(path, `the same key as api_keys[${first}]; each client needs its own`)];
  });
}

function clientHash(client: unknown): string | null {
  if (!isMapping(client)) return null;
  const key = asText(client['key']);
  if (key !== undefined && key.trim() !== '') return keyHash(key);
  const hash = client['key_sha256'];
  return typeof hash === 'string' ? hash.toLowerCase() : null;
}

function checkServer(tree: YamlMapping): Finding[] {
  const findings: Finding[] = [];
  const cors = mappingAt(tree, 'server', 'cors');
  if (listAt(cors, 'allowed_origins').includes('*') && String(cors['allow_credentials']) === 'true') {
    const path = ['server', 'cors', 'allow_credentials'];
    findings.push(warningAt(path, 'ignored: credentials are never allowed for every origin (`*`); name the origins'));
  }
  const webui = mappingAt(tree, 'server', 'webui');
  for (const [one, other] of [
    ['admin_id', 'admin_password'],
    ['admin_password', 'admin_id'],
  ] as const) {
    if (webui[one] !== undefined && webui[other] === undefined) {
      findings.push(errorAt(['server', 'webui', other], `missing; \`${one}\` needs it`));
    }
  }
  return findings;
}

/** Clients whose time is over. */
export function checkExpiry(clients: ReadonlyArray<{ expires_at?: number | undefined }>, now: number): Finding[] {
  return clients.flatMap((client, index) =>
    client.expires_at !== undefined && client.expires_at <= now
      ? [warningAt(['api_keys', index, 'expires_at'], 'this client has expired, and is refused')]
      : [],
  );
}
