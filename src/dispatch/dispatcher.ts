import type { Dispatcher, RoutedAnswer, RoutedRequest } from '../domain/dispatch.js';
import { Journey } from './journey.js';
import type { DispatchParts } from './parts.js';

/** Takes requests from admission to their end. Built for one configuration; a request keeps the one it began with. */
export function createDispatcher(parts: DispatchParts): Dispatcher {
  return {
    dispatch: (request: RoutedRequest): Promise<RoutedAnswer> => new Journey(parts, request).run(),
  };
}
