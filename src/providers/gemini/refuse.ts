import { WaybillError } from '../../domain/errors.js';

/** @throws WaybillError invalid_request: what Gemini cannot do, or what the request got wrong */
export function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\`: ${why}`, param });
}
