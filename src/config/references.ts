import { nearest, suggestion } from './nearest.js';
import { errorAt, type Finding, warningAt, type YamlPath } from './yaml-path.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

/** A provider entry, as far as names go. */
interface Entry {
  index: number;
  id: string;
  model: string | null;
  /** Null: any model may be asked of it. */
  models: string[] | null;
}

/** Names that point somewhere: ids given once, aliases, provider ids in lists. Works on a file with other mistakes. */
export function checkReferences(tree: YamlMapping): Finding[] {
  const entries = readEntries(tree);
  const ids = entries.map((entry) => entry.id);
  return [
    ...repeated(tree, ['llm_providers'], 'provider id'),
    ...repeated(tree, ['api_keys'], 'client id'),
    ...repeatedModels(tree),
    ...checkAllowedProviders(tree, ids),
    ...checkIds(listAt(mappingAt(tree, 'policy', 'fallback'), 'providers'), ['policy', 'fallback', 'providers'], ids),
    ...listAt(mappingAt(tree, 'catalog'), 'sources').flatMap((source, index) =>
      isMapping(source) ? checkIds([source['provider']], ['catalog', 'sources', index, 'provider'], ids, true) : [],
    ),
    ...checkStagingClients(tree),
    ...checkAliases(tree, entries),
  ];
}

function readEntries(tree: YamlMapping): Entry[] {
  return listAt(tree, 'llm_providers').flatMap((entry, index) => {
    if (!isMapping(entry) || typeof entry['id'] !== 'string') return [];
    const models = Array.isArray(entry['models']) ? entry['models'].flatMap((model) => modelId(model) ?? []) : null;
    return [{ index, id: entry['id'], model: typeof entry['model'] === 'string' ? entry['model'] : null, models }];
  });
}

function modelId(model: unknown): string | null {
  const id = isMapping(model) ? model['id'] : model;
  return typeof id === 'string' ? id : null;
}

function repeated(tree: YamlMapping, path: [string], what: string): Finding[] {
  const seen = new Map<string, number>();
  return listAt(tree, path[0]).flatMap((item, index) => {
    const id = isMapping(item) ? item['id'] : undefined;
    if (typeof id !== 'string') return [];
    const first = seen.get(id);
    if (first === undefined) seen.set(id, index);
    return first === undefined
      ? []
      : [errorAt([...path, index, 'id'], `the ${what} \`${id}\` is taken by ${path[0]}[${first}]`)];
  });
}

function repeatedModels(tree: YamlMapping): Finding[] {
  return listAt(tree, 'llm_providers').flatMap((entry, at) => {
    const seen = new Set<string>();
    return listAt(entry, 'models').flatMap((model, index) => {
      const id = modelId(model);
      if (id === null || !seen.has(id)) {
        if (id !== null) seen.add(id);
        return [];
      }
      return [errorAt(['llm_providers', at, 'models', index], `the model \`${id}\` is listed twice`)];
    });
  });
}

function checkAllowedProviders(tree: YamlMapping, ids: readonly string[]): Finding[] {
  return listAt(tree, 'api_keys').flatMap((client, index) =>
    checkIds(listAt(client, 'allowed_providers'), ['api_keys', index, 'allowed_providers'], ids),
  );
}

function checkIds(names: readonly unknown[], path: YamlPath, ids: readonly string[], single = false): Finding[] {
  return names.flatMap((name, index) => {
    if (typeof name !== 'string' || name === '' || ids.includes(name)) return [];
    const at = single ? path : [...path, index];
    if (/[*?]/.test(name)) {
      const pattern = new RegExp(
        `^${name
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')}$`,
      );
      return ids.some((id) => pattern.test(id)) ? [] : [warningAt(at, `no provider id matches \`${name}\``)];
    }
    return [errorAt(at, `no provider has the id \`${name}\`${suggestion(name, ids)}`)];
  });
}

/** Clients may also be kept in the ledger, so an unknown one is no error. */
function checkStagingClients(tree: YamlMapping): Finding[] {
  const clients = listAt(tree, 'api_keys').flatMap((client) => (isMapping(client) ? [client['id']] : []));
  return listAt(tree, 'llm_providers').flatMap((entry, at) =>
    listAt(entry, 'staging_clients').flatMap((name, index) =>
      typeof name !== 'string' || clients.includes(name)
        ? []
        : [warningAt(['llm_providers', at, 'staging_clients', index], `no client of this file has the id \`${name}\``)],
    ),
  );
}

interface AliasLink {
  model: string;
  path: YamlPath;
}

function checkAliases(tree: YamlMapping, entries: readonly Entry[]): Finding[] {
  const aliases = mappingAt(tree, 'model_aliases');
  const names = Object.keys(aliases);
  const links = new Map(names.map((name) => [name, linksOf(aliases[name], ['model_aliases', name])]));
  const findings: Finding[] = [];
  for (const [name, targets] of links) {
    for (const { model, path } of targets) {
      const loop = names.includes(model) ? loopFrom(model, name, links) : null;
      if (loop !== null)
        findings.push(errorAt(path, `this alias comes back to itself: ${[name, ...loop].join(' → ')}`));
      else if (!names.includes(model)) {
        const problem = whyNowhere(model, entries, names);
        if (problem !== null) findings.push(errorAt(path, problem));
      }
    }
  }
  return findings;
}

function linksOf(alias: unknown, path: YamlPath): AliasLink[] {
  if (typeof alias === 'string') return alias === '' ? [] : [{ model: alias, path }];
  const targets = listAt(alias, 'targets').flatMap((target, index): AliasLink[] => {
    const at = [...path, 'targets', index];
    if (typeof target === 'string') return [{ model: target, path: at }];
    const model = isMapping(target) ? target['model'] : undefined;
    return typeof model === 'string' ? [{ model, path: [...at, 'model'] }] : [];
  });
  const fallback = listAt(alias, 'fallback').flatMap((model, index): AliasLink[] =>
    typeof model === 'string' ? [{ model, path: [...path, 'fallback', index] }] : [],
  );
  return [...targets, ...fallback];
}

/** The aliases from `from` back to `goal`, or null when none leads there. */
function loopFrom(from: string, goal: string, links: ReadonlyMap<string, AliasLink[]>): string[] | null {
  const open: string[][] = [[from]];
  const seen = new Set<string>();
  for (let trail = open.pop(); trail !== undefined; trail = open.pop()) {
    const last = trail.at(-1) ?? '';
    if (last === goal) return trail;
    if (seen.has(last)) continue;
    seen.add(last);
    for (const link of links.get(last) ?? []) if (links.has(link.model)) open.push([...trail, link.model]);
  }
  return null;
}

const SUFFIXES = ['fastest', 'cheapest', 'preferred'];

/** Why a model name reaches no provider entry; null when it reaches one. The same order as the router's. */
function whyNowhere(model: string, entries: readonly Entry[], aliases: readonly string[]): string | null {
  const offered = (name: string) =>
    entries.some((entry) => entry.model === name || entry.models?.includes(name) === true);
  const alone = entries.find((entry) => entry.id === model);
  if (alone !== undefined) {
    return alone.model === null ? `provider \`${model}\` has no default \`model\`; write \`${model}:<model>\`` : null;
  }
  if (offered(model)) return null;
  const last = model.lastIndexOf(':');
  if (last > 0) {
    const [base, suffix] = [model.slice(0, last), model.slice(last + 1)];
    const isSuffix = SUFFIXES.includes(suffix) || entries.some((entry) => entry.id === suffix);
    if (isSuffix && (offered(base) || aliases.includes(base))) return null;
  }
  const colon = model.indexOf(':');
  const entry = colon < 0 ? undefined : entries.find(({ id }) => id === model.slice(0, colon));
  if (entry !== undefined) {
    const wanted = model.slice(colon + 1);
    if (wanted === '') return `\`${model}\` names no model`;
    if (entry.models === null || entry.model === wanted || entry.models.includes(wanted)) return null;
    const plain = SUFFIXES.includes(model.slice(last + 1)) ? wanted.slice(0, wanted.lastIndexOf(':')) : wanted;
    if (entry.model === plain || entry.models.includes(plain)) return null;
    return `provider \`${entry.id}\` does not offer \`${wanted}\`${suggestion(wanted, [...new Set([...entry.models, ...(entry.model === null ? [] : [entry.model])])])}`;
  }
  const ids = entries.map(({ id }) => id);
  const prefix = colon > 0 ? nearest(model.slice(0, colon), ids) : null;
  if (prefix !== null) return `no provider has the id \`${model.slice(0, colon)}\`; did you mean \`${prefix}\`?`;
  const names = [
    ...entries.flatMap(({ id, model: own, models }) =>
      [own, ...(models ?? [])].flatMap((name) => (name === null ? [] : [name, `${id}:${name}`])),
    ),
    ...aliases,
  ];
  const near = nearest(model, names);
  if (near !== null) return `no provider offers \`${model}\`; did you mean \`${near}\`?`;
  if (colon > 0) return `no provider has the id \`${model.slice(0, colon)}\`${suggestion(model.slice(0, colon), ids)}`;
  return `no provider offers \`${model}\`; write \`<provider id>:${model}\` (ids: ${ids.join(', ') || 'none'})`;
}

export function listAt(value: unknown, key: string): unknown[] {
  const list = isMapping(value) ? value[key] : undefined;
  return Array.isArray(list) ? list : [];
}

export function mappingAt(value: unknown, ...keys: string[]): YamlMapping {
  let current = value;
  for (const key of keys) current = isMapping(current) ? current[key] : undefined;
  return isMapping(current) ? current : {};
}
