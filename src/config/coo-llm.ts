import { asDecimal } from './fields.js';
import { ALGORITHMS } from './schema-policy.js';
import { errorAt, type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

/**
 * Files written for COO-LLM. Most of its keys are ours too; here are the others: each is taken out of the document with
 * a warning that says what is ignored or what replaces it. https://github.com/COO-LLM/coo-llm-main
 */

const IGNORED: ReadonlyArray<{ path: readonly string[]; message: string }> = [
  { path: ['logging', 'providers'], message: 'ignored: logs go to standard output and `logging.file`' },
  { path: ['storage', 'config'], message: 'ignored: this file is the only place the configuration is kept' },
  { path: ['server', 'webui', 'web_ui_path'], message: 'ignored: the dashboard is built in' },
  { path: ['policy', 'cache', 'semantic_enabled'], message: 'ignored: answers are only reused for the same request' },
  { path: ['policy', 'cache', 'embedding_model'], message: 'ignored: answers are only reused for the same request' },
  {
    path: ['policy', 'cache', 'similarity_threshold'],
    message: 'ignored: answers are only reused for the same request',
  },
  { path: ['providers'], message: 'ignored: `llm_providers` replaces it (keys become `api_keys`, each with a type)' },
];

/** It saves every key, those that were never set as 0, `0s` or ''. `*` stands for each entry of a list. */
const EMPTY_MEANS_NONE: ReadonlyArray<readonly string[]> = [
  ...['name', 'model', 'base_url'].map((key) => ['llm_providers', '*', key]),
  ...['req_per_min', 'tokens_per_min', 'max_tokens', 'session_limit', 'session_type'].map((key) => [
    'llm_providers',
    '*',
    'limits',
    key,
  ]),
  ...['max_attempts', 'timeout', 'interval'].map((key) => ['policy', 'retry', key]),
  ['policy', 'fallback', 'max_providers'],
  ['policy', 'cache', 'ttl_seconds'],
  ['policy', 'algorithm'],
  ['policy', 'priority'],
];

export interface Adopted {
  tree: YamlMapping;
  findings: Finding[];
}

/** The document without COO-LLM's own keys, and what became of each. The tree handed in is not changed. */
export function adoptCooLlm(original: YamlMapping): Adopted {
  const tree = structuredClone(original);
  const findings: Finding[] = [];
  for (const { path, message } of IGNORED) {
    if (take(tree, path) !== undefined) findings.push(warningAt(path, message));
  }
  adoptStrategy(tree, findings);
  adoptRuntime(tree, findings);
  adoptCustomTypes(tree, findings);
  adoptCurrency(tree, findings);
  for (const path of EMPTY_MEANS_NONE) leaveOutEmpty(tree, path, findings);
  return { tree, findings };
}

/** `policy.strategy` is the old name of `algorithm`. */
function adoptStrategy(tree: YamlMapping, findings: Finding[]): void {
  const strategy = take(tree, ['policy', 'strategy']);
  const policy = tree['policy'];
  if (strategy === undefined || !isMapping(policy)) return;
  const at = ['policy', 'strategy'];
  if (policy['algorithm'] === undefined && ALGORITHMS.some((name) => name === strategy)) {
    policy['algorithm'] = strategy;
    findings.push(warningAt(at, '`algorithm` replaces it, and takes its value'));
  } else {
    findings.push(warningAt(at, 'ignored: `algorithm` replaces it'));
  }
}

function adoptRuntime(tree: YamlMapping, findings: Finding[]): void {
  const runtime = take(tree, ['storage', 'runtime']);
  const storage = tree['storage'];
  if (runtime === undefined || !isMapping(storage)) return;
  const at: YamlPath = ['storage', 'runtime'];
  if (!isMapping(runtime)) {
    findings.push(
      warningAt(at, 'ignored: expected a mapping with type, addr; `storage.ledger` and `storage.shared` replace it'),
    );
    return;
  }
  const { type, addr, password, database } = runtime;
  for (const key of Object.keys(runtime)) {
    const used = key === 'type' || key === 'addr' || (type === 'redis' && (key === 'password' || key === 'database'));
    if (!used) findings.push(warningAt([...at, key], 'ignored: tables and keys have names of their own'));
  }
  const address = typeof addr === 'string' ? addr : '';
  const adopt = (key: 'ledger' | 'shared', value: YamlMapping) => {
    if (storage[key] === undefined) storage[key] = value;
    else findings.push(warningAt(at, `ignored: \`storage.${key}\` is set and replaces it`));
  };
  if (type === 'sql' || type === 'sqlite' || type === 'postgres') {
    if (isPostgres(address)) adopt('ledger', { type: 'postgres', url: postgresUrl(address) });
    else if (address !== '') adopt('ledger', { type: 'sqlite', path: address.replace(/^(sqlite|file):(\/\/)?/, '') });
  } else if (type === 'redis') {
    adopt('shared', { type: 'redis', url: redisUrl(address, password, database) });
  } else {
    const kept =
      storage['ledger'] === undefined ? 'the ledger is kept in ./data/waybill.db' : '`storage.ledger` replaces it';
    findings.push(warningAt(at, `ignored: a store of type \`${String(type)}\` is not known; ${kept}`));
  }
}

/** `type: custom` was any server with OpenAI's API. */
function adoptCustomTypes(tree: YamlMapping, findings: Finding[]): void {
  const entries = tree['llm_providers'];
  if (!Array.isArray(entries)) return;
  entries.forEach((entry, index) => {
    if (!isMapping(entry) || entry['type'] !== 'custom') return;
    entry['type'] = 'openai_compatible';
    findings.push(warningAt(['llm_providers', index, 'type'], '`openai_compatible` replaces `custom`, and is used'));
  });
}

/** Prices were in the currency that was named; here they are in USD. */
function adoptCurrency(tree: YamlMapping, findings: Finding[]): void {
  const entries = tree['llm_providers'];
  if (!Array.isArray(entries)) return;
  entries.forEach((entry, index) => {
    const currency = take(entry, ['pricing', 'currency']);
    if (currency === undefined) return;
    const at = ['llm_providers', index, 'pricing', 'currency'];
    const isUsd = typeof currency === 'string' && /^(usd)?$/i.test(currency.trim());
    findings.push(
      isUsd
        ? warningAt(at, 'ignored: prices are in USD')
        : errorAt(at, 'prices are in USD; write them so, and leave this out'),
    );
  });
}

/** Takes a value out that stands for none, with a warning. */
function leaveOutEmpty(parent: unknown, path: readonly string[], findings: Finding[], above: YamlPath = []): void {
  const [step = '', ...rest] = path;
  if (step === '*') {
    const items = Array.isArray(parent) ? parent : [];
    for (const [index, item] of items.entries()) leaveOutEmpty(item, rest, findings, [...above, index]);
    return;
  }
  if (!isMapping(parent) || !Object.hasOwn(parent, step)) return;
  const at = [...above, step];
  const written = parent[step];
  if (rest.length > 0) {
    leaveOutEmpty(written, rest, findings, at);
  } else if (isEmpty(written)) {
    delete parent[step];
    const shown = written === '' ? 'an empty text' : `\`${written}\``;
    findings.push(warningAt(at, `${shown} counts as left out; leave it out`));
  }
}

function isEmpty(value: unknown): value is string {
  return typeof value === 'string' && (value === '' || value === '0s' || asDecimal(value)?.digits === 0n);
}

function isPostgres(address: string): boolean {
  return /^postgres(ql)?:\/\//.test(address) || /\b(host|dbname|user)=/.test(address);
}

/** `host=… user=… dbname=…` as a URL. */
function postgresUrl(address: string): string {
  if (address.includes('://')) return address;
  const parts = new Map([...address.matchAll(/(\w+)=(\S+)/g)].map((match) => [match[1] ?? '', match[2] ?? '']));
  const part = (name: string, fallback: string) => encodeURIComponent(parts.get(name) ?? fallback);
  const password = parts.has('password') ? `:${part('password', '')}` : '';
  const mode = parts.has('sslmode') ? `?sslmode=${part('sslmode', '')}` : '';
  return `postgres://${part('user', 'postgres')}${password}@${part('host', 'localhost')}:${part('port', '5432')}/${part('dbname', 'postgres')}${mode}`;
}

function redisUrl(address: string, password: unknown, database: unknown): string {
  if (/^rediss?:\/\//.test(address)) return address;
  const secret = typeof password === 'string' && password !== '' ? `:${encodeURIComponent(password)}@` : '';
  const number = typeof database === 'string' && /^\d+$/.test(database) ? `/${database}` : '';
  return `redis://${secret}${address === '' ? 'localhost:6379' : address}${number}`;
}

/** Removes the value at a path and returns it; undefined when there is none. */
function take(tree: unknown, path: readonly string[]): unknown {
  let parent: unknown = tree;
  for (const step of path.slice(0, -1)) parent = isMapping(parent) ? parent[step] : undefined;
  const key = path.at(-1) ?? '';
  if (!isMapping(parent) || !Object.hasOwn(parent, key)) return undefined;
  const value = parent[key];
  delete parent[key];
  return value;
}
