import { describe, expect, it } from 'vitest';
import { presentedKey } from '../../../src/http/context.js';

describe('the key a client presents', () => {
  it.each<[string | undefined, string | undefined, string | null]>([
    ['Bearer wb-1', undefined, 'wb-1'],
    ['Bearer   wb-1 ', 'other', 'wb-1'],
    ['bearer wb-1', undefined, 'wb-1'],
    ['BEARER  wb 1', undefined, 'wb 1'],
    ['Bearer ', 'wb-2', 'wb-2'],
    ['Bearer', 'wb-2', 'wb-2'],
    ['Bearer\twb-1', 'wb-2', 'wb-2'],
    ['Basic dXNlcjpwYXNz', 'wb-2', 'wb-2'],
    [' Bearer wb-1', undefined, null],
    [undefined, undefined, null],
  ])('is read from authorization %j and x-api-key %j', (authorization, key, presented) => {
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      ...(key === undefined ? {} : { 'x-api-key': key }),
    };
    expect(presentedKey({ headers })).toBe(presented);
  });
});
