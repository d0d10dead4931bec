import { WaybillError } from '../domain/errors.js';

/**
 * A model's id as a path holds it: slashes and colons raw or percent-encoded.
 * @throws WaybillError invalid_request
 */
export function modelInPath(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch (cause) {
    throw new WaybillError('invalid_request', {
      message: 'The model id in the path is not valid percent-encoding.',
      param: 'model',
      cause,
    });
  }
}
