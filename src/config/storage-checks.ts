import { mappingAt } from './references.js';
import { errorAt, type Finding } from './yaml-path.js';
import type { YamlMapping } from './yaml-source.js';

/** Keys of `storage` that belong to the other type, or that the type needs. */
export function checkStorage(tree: YamlMapping): Finding[] {
  const ledger = mappingAt(tree, 'storage', 'ledger');
  const shared = mappingAt(tree, 'storage', 'shared');
  const findings: Finding[] = [];
  const refuse = (path: string[], message: string) => findings.push(errorAt(['storage', ...path], message));
  const isPostgres = ledger['type'] === 'postgres';
  if (isPostgres && ledger['url'] === undefined)
    refuse(['ledger', 'url'], 'missing; a ledger of type postgres needs it');
  if (isPostgres && ledger['path'] !== undefined) {
    refuse(['ledger', 'path'], 'a ledger of type postgres has a url and no path');
  }
  if (!isPostgres && ledger['url'] !== undefined) {
    refuse(['ledger', 'url'], 'a ledger of type sqlite has a path and no url; write `type: postgres` for a url');
  }
  const isRedis = shared['type'] === 'redis';
  if (isRedis && shared['url'] === undefined) refuse(['shared', 'url'], 'missing; shared state of type redis needs it');
  if (!isRedis && shared['url'] !== undefined)
    refuse(['shared', 'url'], 'a url is given; write `type: redis` beside it');
  return findings;
}
