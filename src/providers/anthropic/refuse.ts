import { WaybillError } from '../../domain/errors.js';

/** @throws WaybillError invalid_request, naming the parameter and what Claude has in its place */
export function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\` (claude): ${why}`, param });
}
