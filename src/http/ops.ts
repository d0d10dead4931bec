import { WaybillError } from '../domain/errors.js';
import type { Secret } from '../domain/secret.js';
import { requireAdmin } from './admin/auth.js';
import type { HttpContext } from './context.js';
import { type LocalAccess, notLocal } from './local.js';

export interface OpsParts {
  /** Empty when ready; else why not. */
  notReady: () => string[];
  generation: number;
  adminKey: Secret | null;
  metricsPublic: boolean;
  local: LocalAccess;
  metrics: { metricsText(): Promise<string>; contentType: string };
}

/** `GET /health/live`: the process answers. */
export function live(ctx: HttpContext): void {
  ctx.body = { status: 'ok' };
}

/** `GET /health/ready`: requests will be served. */
export function ready(parts: () => OpsParts) {
  return (ctx: HttpContext): void => {
    const { notReady, generation } = parts();
    const reasons = notReady();
    ctx.status = reasons.length === 0 ? 200 : 503;
    ctx.body = reasons.length === 0 ? { status: 'ready', generation } : { status: 'not_ready', generation, reasons };
  };
}

/** The Prometheus page: open on loopback, behind the admin key elsewhere unless it is public. */
export function metricsPage(parts: () => OpsParts) {
  return async (ctx: HttpContext): Promise<void> => {
    const { metrics, metricsPublic, adminKey, local } = parts();
    if (!metricsPublic && notLocal(ctx, local) !== null) requireAdmin(ctx, adminKey, local);
    const text = await metrics.metricsText();
    ctx.set('content-type', metrics.contentType);
    ctx.body = text;
  };
}

/** For whatever no route answers: 405 where the path exists, 404 where it does not. */
export function unrouted(ctx: HttpContext, allowed: readonly string[]): never {
  if (allowed.length > 0) {
    ctx.set('allow', allowed.join(', '));
    throw new WaybillError('method_not_allowed', {
      message: `${ctx.method} is not allowed here; ${allowed.join(', ')} ${allowed.length === 1 ? 'is' : 'are'}.`,
    });
  }
  throw new WaybillError('not_found', { message: `There is nothing at ${ctx.method} ${ctx.path}.` });
}
