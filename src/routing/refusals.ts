import { WaybillError } from '../domain/errors.js';
import type { Exclusion, RouteAsk, Target, TargetHealth } from '../domain/route.js';

/** What a request is told that may use nothing of what it named. */
export function notAllowed(ask: RouteAsk, excluded: readonly Exclusion[]): WaybillError {
  return new WaybillError('model_not_allowed', {
    message: `The model \`${ask.model}\` may not be used: ${excluded[0]?.reason ?? 'not allowed for this client'}.`,
    param: 'model',
  });
}

/** What a request is told whose model does something else. */
export function taskNotSupported(ask: RouteAsk): WaybillError {
  return new WaybillError('task_not_supported', {
    message: `The model \`${ask.model}\` does not do ${ask.task}.`,
    param: 'model',
  });
}

/** What a request is told that has no target which could be asked now. */
export function noneAlive(targets: readonly Target[], health: TargetHealth): WaybillError {
  if (targets.every((target) => target.needsBroughtKey === true && target.isBrought !== true)) {
    const ids = [...new Set(targets.map(({ providerId }) => providerId))];
    return new WaybillError('invalid_request', {
      message: `${ids.map((id) => `\`${id}\``).join(', ')} has no key of its own here: bring yours with the header \`x-waybill-provider-key: ${ids[0]}=<key>\`.`,
      param: 'x-waybill-provider-key',
    });
  }
  if (targets.every((target) => target.keys.readyInMs() === null)) {
    return new WaybillError('upstream_credentials_exhausted', {
      message: `Every key of ${[...new Set(targets.map((target) => target.providerId))].join(', ')} is missing, refused or out of credit.`,
      shouldRetry: false,
    });
  }
  // A target without a key comes back by a reload, not by waiting.
  const waiting = targets.filter((target) => target.keys.readyInMs() !== null);
  return new WaybillError('no_target_available', {
    message: 'Every target of this model failed repeatedly and is left alone for a while.',
    retryAfterMs: Math.min(...waiting.map((target) => health.retryInMs(target.id))),
  });
}
