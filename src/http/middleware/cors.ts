import type { Middleware } from 'koa';
import type { RequestState } from '../exchange.js';

export interface CorsSettings {
  enabled: boolean;
  allowedOrigins: readonly string[];
  allowedMethods: readonly string[];
  allowedHeaders: readonly string[];
  allowCredentials: boolean;
  maxAgeSeconds: number;
}

/** What an answer says beside its body: a page sees no header that is not named here. */
const EXPOSED_HEADERS = [
  'inference-id',
  'x-request-id',
  'x-should-retry',
  'retry-after',
  'retry-after-ms',
  'x-waybill-attempts',
  'x-waybill-cache',
  'x-waybill-cost-nano-usd',
  'x-waybill-idempotent-replay',
  'x-waybill-model',
  'x-waybill-provider',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
].join(', ');

/** Lets browsers of the listed origins in. `*` never goes with credentials: the config refuses that pair. */
export function cors(settings: () => CorsSettings): Middleware<RequestState> {
  return (ctx, next) => {
    const current = settings();
    const { origin } = ctx.req.headers;
    if (!current.enabled || origin === undefined) return next();
    ctx.vary('origin');
    if (!current.allowedOrigins.includes('*') && !current.allowedOrigins.includes(origin)) return next();
    ctx.set('access-control-allow-origin', current.allowedOrigins.includes('*') ? '*' : origin);
    if (current.allowCredentials) ctx.set('access-control-allow-credentials', 'true');
    ctx.set('access-control-expose-headers', EXPOSED_HEADERS);
    if (ctx.method !== 'OPTIONS' || ctx.get('access-control-request-method') === '') return next();
    ctx.set('access-control-allow-methods', current.allowedMethods.join(', '));
    ctx.set('access-control-allow-headers', current.allowedHeaders.join(', '));
    ctx.set('access-control-max-age', String(current.maxAgeSeconds));
    ctx.status = 204;
    return;
  };
}
