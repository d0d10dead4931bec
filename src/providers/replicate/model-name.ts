import { WaybillError } from '../../domain/errors.js';
import type { UpstreamTarget } from '../../domain/provider.js';
import { apiRoot } from '../openai-compatible.js';

/** One part of a name: nothing that could lead to another path, with the operator's key. */
const PART = '[A-Za-z0-9][A-Za-z0-9._-]*';
const OFFICIAL = new RegExp(`^${PART}/${PART}$`);
const DEPLOYMENT = new RegExp(`^deployments/(${PART}/${PART})$`);
const VERSION = new RegExp(`^(?:${PART}/${PART}:)?([0-9a-f]{8,64})$`);

/** Where a model's predictions are made, and the version that is named in the body; null where the path says it all. */
export interface ModelPlace {
  url: string;
  version: string | null;
}

/**
 * `owner/name` is a model that Replicate runs itself, `owner/name:version` or a version alone any other,
 * `deployments/owner/name` a deployment.
 * Source: https://replicate.com/docs/topics/predictions/create-a-prediction
 * @throws WaybillError invalid_request for a name of another form
 */
export function placeOf(target: UpstreamTarget): ModelPlace {
  const { providerModel } = target;
  const root = rootOf(target);
  const deployment = DEPLOYMENT.exec(providerModel)?.[1];
  if (deployment !== undefined) return { url: `${root}/deployments/${deployment}/predictions`, version: null };
  const version = VERSION.exec(providerModel)?.[1];
  if (version !== undefined) return { url: `${root}/predictions`, version };
  if (OFFICIAL.test(providerModel)) return { url: `${root}/models/${providerModel}/predictions`, version: null };
  throw new WaybillError('invalid_request', {
    message:
      '`model`: a model of Replicate is `owner/name`, `owner/name:version`, a version, or `deployments/owner/name`',
    param: 'model',
  });
}

export function rootOf({ baseUrl }: UpstreamTarget): string {
  return apiRoot(baseUrl, '/v1');
}
