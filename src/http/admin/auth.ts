import { createHash, timingSafeEqual } from 'node:crypto';
import { WaybillError } from '../../domain/errors.js';
import type { Secret } from '../../domain/secret.js';
import { type HttpContext, presentedKey } from '../context.js';
import { type LocalAccess, notLocal } from '../local.js';

/**
 * Lets operators through: by the admin key, or from this machine where none is set.
 * @throws WaybillError invalid_api_key
 */
export function requireAdmin(ctx: HttpContext, adminKey: Secret | null, local: LocalAccess): void {
  if (adminKey === null) {
    const why = notLocal(ctx, local);
    if (why === null) return;
    throw new WaybillError('invalid_api_key', {
      message: `No \`server.admin_api_key\` is set, so the admin API answers on loopback only: ${why}.`,
    });
  }
  if (!isAdmin(ctx, adminKey)) {
    throw new WaybillError('invalid_api_key', { message: 'The admin key is missing or wrong.' });
  }
}

/** True when the admin key is set and is the one presented. */
export function isAdmin(ctx: HttpContext, adminKey: Secret | null): boolean {
  const presented = presentedKey(ctx);
  if (adminKey === null || presented === null) return false;
  return timingSafeEqual(digest(presented), digest(adminKey.reveal()));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
