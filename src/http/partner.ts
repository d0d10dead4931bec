import { WaybillError } from '../domain/errors.js';
import type { Secret } from '../domain/secret.js';
import type { JsonObject } from '../domain/task.js';
import { isAdmin } from './admin/auth.js';
import { readJsonBody } from './body.js';
import type { HttpContext } from './context.js';
import { type CallerParts, callerOf } from './local.js';

export interface PartnerParts extends CallerParts {
  adminKey: Secret | null;
  bodyLimitBytes: number;
  hasProvider: (id: string) => boolean;
  /** The answer as JSON text; a null filters nothing. */
  billing: (body: JsonObject, filter: { client: string | null; provider: string | null }) => Promise<string>;
}

/**
 * What requests cost, by their ids: `POST /v1/billing` for all, `POST /api/partners/{provider}/billing` for those of one
 * provider. The admin key sees all requests, a client its own.
 */
export function billing(parts: () => PartnerParts, providerOf: (ctx: HttpContext) => string | null) {
  return async (ctx: HttpContext): Promise<void> => {
    const current = parts();
    const client = isAdmin(ctx, current.adminKey) ? null : callerOf(ctx, current).id;
    const provider = providerOf(ctx);
    if (provider !== null && !current.hasProvider(provider)) {
      throw new WaybillError('not_found', { message: `There is no provider \`${provider}\` here.` });
    }
    const { value } = await readJsonBody(ctx.req, current.bodyLimitBytes);
    const answer = await current.billing(value, { client, provider });
    ctx.type = 'application/json';
    ctx.body = answer;
  };
}
