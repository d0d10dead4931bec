import { WaybillError } from '../domain/errors.js';

/**
 * A model's name as part of a path. A name with `..` in it would lead to another path, with the operator's key.
 * @throws WaybillError invalid_request
 */
export function encodeModel(model: string): string {
  const isStray = (segment: string) => segment === '' || segment === '.' || segment === '..';
  if (model.split(/[/\\]/).some(isStray) || /[\ud800-\udfff]/u.test(model)) {
    throw new WaybillError('invalid_request', { message: '`model`: this is no name of a model', param: 'model' });
  }
  return model.split('/').map(encodeURIComponent).join('/');
}
