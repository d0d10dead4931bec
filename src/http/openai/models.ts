import { WaybillError } from '../../domain/errors.js';
import { formatRatePerMillion, type NanoUsdPerMillion } from '../../domain/money.js';
import type { ListedModel, Router, Target, TargetHealth } from '../../domain/route.js';
import type { HttpContext } from '../context.js';
import { type CallerParts, callerOf } from '../local.js';
import { modelInPath } from '../model-in-path.js';

export interface ModelsParts extends CallerParts {
  router: Router;
  health: TargetHealth;
  /** Unix seconds of the configuration that offers the models. */
  createdAt: number;
}

/** `GET /v1/models`: what this client may use. */
export function listModels(parts: () => ModelsParts) {
  return (ctx: HttpContext): void => {
    const current = parts();
    const { access } = callerOf(ctx, current);
    ctx.body = { object: 'list', data: current.router.list(access).map((model) => modelObject(model, current)) };
  };
}

/** `GET /v1/models/{id}`: ids with slashes and colons, raw or percent-encoded. */
export function getModel(parts: () => ModelsParts, idOf: (ctx: HttpContext) => string) {
  return (ctx: HttpContext): void => {
    const current = parts();
    const { access } = callerOf(ctx, current);
    const id = modelInPath(idOf(ctx));
    const model = current.router.list(access).find((listed) => listed.id === id);
    if (model === undefined) {
      throw new WaybillError('model_not_found', {
        message: `The model \`${id}\` does not exist or is not offered here. GET /v1/models lists what there is.`,
        param: 'model',
      });
    }
    ctx.body = modelObject(model, current);
  };
}

function modelObject(model: ListedModel, { createdAt, health }: ModelsParts) {
  const owners = [...new Set(model.targets.map((target) => target.providerId))];
  return {
    id: model.id,
    object: 'model',
    created: createdAt,
    owned_by: owners.join(','),
    providers: model.targets.map((target) => providerObject(target, health)),
  };
}

/** What is not known is null. */
function providerObject(target: Target, health: TargetHealth) {
  const measured = health.snapshot(target.id);
  return {
    provider: target.providerId,
    status: isDisabled(target) ? 'disabled' : measured.state === 'closed' ? 'live' : 'degraded',
    context_length: target.contextWindow,
    pricing:
      target.price === null
        ? null
        : { input: usdPerMillion(target.price.rates.input), output: usdPerMillion(target.price.rates.output) },
    supports_tools: null,
    supports_structured_output: null,
    region: target.region,
    first_token_latency_ms: measured.firstByteMs === null ? null : Math.round(measured.firstByteMs),
    throughput: null,
  };
}

function isDisabled({ keys, needsBroughtKey }: Target): boolean {
  return keys.readyInMs() === null && needsBroughtKey !== true;
}

/** USD per million tokens, for reading. */
function usdPerMillion(rate: NanoUsdPerMillion | undefined): number | null {
  return rate === undefined ? null : Number(formatRatePerMillion(rate));
}
