import type { Client, ClientDirectory } from '../domain/client.js';
import { WaybillError } from '../domain/errors.js';
import { type HttpContext, isLoopback, presentedKey } from './context.js';
import type { RequestHead } from './exchange.js';
import type { CorsSettings } from './middleware/cors.js';

/**
 * Where nothing but the loopback address guards a route, a web page in a browser on this machine would be let in too:
 * it may send simple requests to any address, and by a name that resolves to 127.0.0.1 it may read the answers.
 */
export interface LocalAccess {
  /** As in `server.listen`. */
  listenHost: string;
  cors: () => CorsSettings;
}

export interface CallerParts {
  directory: ClientDirectory;
  /** True without `api_keys`: whoever reaches the router is let in. */
  isOpen: boolean;
  local: LocalAccess;
}

/**
 * Who asks.
 * @throws WaybillError invalid_api_key
 */
export function callerOf(head: RequestHead, { directory, isOpen, local }: CallerParts): Client {
  if (isOpen) {
    const why = strangeHost(head, local) ?? strangeOrigin(head, local, { isNamed: false });
    if (why !== null) {
      throw new WaybillError('invalid_api_key', {
        message: `Without \`api_keys\` only programs on this machine are served: ${why}.`,
      });
    }
  }
  return directory.identify(presentedKey(head));
}

/** Why a request does not count as an operator's on this machine; null when it does. */
export function notLocal(ctx: HttpContext, local: LocalAccess): string | null {
  if (!isLoopback(ctx)) return 'the request comes from elsewhere';
  const { headers } = ctx.req;
  if (headers['forwarded'] !== undefined || headers['x-forwarded-for'] !== undefined) {
    return 'the request comes through a proxy';
  }
  return strangeHost(ctx, local) ?? strangeOrigin(ctx, local, { isNamed: true });
}

function strangeHost({ headers }: RequestHead, { listenHost }: LocalAccess): string | null {
  const host = hostname(headers.host ?? '');
  if (isLoopbackName(host) || host === hostname(listenHost)) return null;
  return 'the Host header names another';
}

/** A page of our own address has its `Origin` too. With `isNamed`, the `*` of `allowed_origins` lets nobody in. */
function strangeOrigin({ headers }: RequestHead, local: LocalAccess, { isNamed }: { isNamed: boolean }): string | null {
  const { origin, host = '' } = headers;
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return null;
  const { enabled, allowedOrigins } = local.cors();
  if (enabled && (allowedOrigins.includes(origin) || (!isNamed && allowedOrigins.includes('*')))) return null;
  return 'a web page of another origin sent the request, and `server.cors.allowed_origins` does not list it';
}

/** Without the port, the brackets of IPv6 and the root's dot. */
function hostname(host: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host.toLowerCase()) ?? [];
  return bracketed ?? plain?.replace(/\.$/, '') ?? host.toLowerCase();
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
