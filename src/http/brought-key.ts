import { WaybillError } from '../domain/errors.js';
import type { BroughtKey } from '../domain/keys.js';
import { Secret } from '../domain/secret.js';
import type { Exchange } from './exchange.js';

const HEADER = 'x-waybill-provider-key';
const MAX_KEY_CHARACTERS = 4_096;

/** What the endpoints need whose requests may bring a key. */
export interface BringingParts {
  /** `unknown`: no provider entry has this id. `refused`: the entry does not take keys that requests bring. */
  bring: (providerId: string, key: Secret) => BroughtKey | 'unknown' | 'refused';
}

/**
 * The key that a request brought: `x-waybill-provider-key: <provider id>=<key>`. No error repeats anything of the header
 * but the id of an entry that there is: whoever leaves the id out has a key in its place.
 * @throws WaybillError invalid_request
 */
export function broughtKey(exchange: Exchange, { bring }: BringingParts): BroughtKey | undefined {
  const header = exchange.headers[HEADER];
  if (header === undefined) return undefined;
  if (exchange.isRepeated(HEADER) || typeof header !== 'string') throw refused('is given more than once');
  const equals = header.indexOf('=');
  const providerId = header.slice(0, equals).trim();
  const key = header.slice(equals + 1).trim();
  if (equals === -1 || providerId === '' || key === '') throw refused('is `<provider id>=<key>`');
  if (key.length > MAX_KEY_CHARACTERS) throw refused(`holds a key of at most ${MAX_KEY_CHARACTERS} characters`);
  const brought = bring(providerId, new Secret(key));
  if (brought === 'unknown') throw refused('is `<provider id>=<key>`, and no provider here has the id it names');
  if (brought === 'refused') {
    throw refused(`names \`${providerId}\`, which takes no keys from requests (\`allow_client_keys\` is not set)`);
  }
  return brought;
}

function refused(why: string): WaybillError {
  return new WaybillError('invalid_request', { message: `${HEADER} ${why}.`, param: HEADER });
}
