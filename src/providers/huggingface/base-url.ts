import type { UpstreamTarget } from '../../domain/provider.js';
import { encodeModel } from '../model-path.js';

export const ROUTER_HOST = 'router.huggingface.co';
export const DEAD_HOST = 'api-inference.huggingface.co';

/**
 * Where models are asked by their own task: below `/hf-inference` on the router, or where the base URL ends so (the
 * router's, or that of something in front of it). Null where it is a dedicated endpoint, or one of the router's providers
 * by name (`/together/v1`), which speak OpenAI's dialect.
 */
export function modelUrl(target: UpstreamTarget): string | null {
  const base = target.baseUrl.replace(/\/+$/, '');
  const host = hostOf(base);
  const model = () => `models/${encodeModel(target.providerModel)}`;
  if (base.endsWith('/hf-inference')) return `${base}/${model()}`;
  if (host === ROUTER_HOST && /^(\/v1)?$/.test(base.slice(originOf(base).length))) {
    return `${originOf(base)}/hf-inference/${model()}`;
  }
  // The dead host is asked as written: what it answers says where to go.
  return host === DEAD_HOST ? `${originOf(base)}/${model()}` : null;
}

/** The root of a dedicated endpoint, without the path of OpenAI's dialect. */
export function endpointRoot({ baseUrl }: UpstreamTarget): string {
  return baseUrl.replace(/\/+$/, '').replace(/\/v1$/, '');
}

function originOf(base: string): string {
  const slash = base.indexOf('/', base.indexOf('://') + 3);
  return slash === -1 ? base : base.slice(0, slash);
}

export function hostOf(base: string): string {
  const origin = originOf(base);
  return origin
    .slice(origin.indexOf('://') + 3)
    .replace(/:\d+$/, '')
    .toLowerCase();
}
