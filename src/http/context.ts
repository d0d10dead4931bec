import type { ParameterizedContext } from 'koa';
import type { RequestHead, RequestState } from './exchange.js';

export type HttpContext = ParameterizedContext<RequestState>;

const BEARER = 'Bearer ';

/** The key a client presents: `Authorization: Bearer …`, else `x-api-key`. A proxy's own `Authorization` hides neither. */
export function presentedKey({ headers }: Pick<RequestHead, 'headers'>): string | null {
  const { authorization = '' } = headers;
  // As nearly everybody writes it; the pattern takes the others.
  const bearer = authorization.startsWith(BEARER)
    ? authorization.slice(BEARER.length).trim()
    : /^Bearer +(.+)$/i.exec(authorization)?.[1]?.trim();
  if (bearer !== undefined && bearer !== '') return bearer;
  const key = headers['x-api-key'];
  return typeof key === 'string' ? key : null;
}

/** True when the connection itself comes from this machine; a proxy's word does not count. */
export function isLoopback(ctx: HttpContext): boolean {
  const address = ctx.req.socket.remoteAddress ?? '';
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
