import type { LimitOption, LimitSettings, WaitingAsk } from '../../../src/domain/limit.js';
import type { Logger } from '../../../src/domain/ports.js';

/** An option of one scope, both named alike. */
export function anOption(id: string, settings: LimitSettings): LimitOption {
  return { option: id, scopes: [{ id, settings }] };
}

export function anAsk(overrides: Partial<WaitingAsk> = {}): WaitingAsk {
  return {
    queue: 'line',
    client: 'client',
    options: [anOption('key', {})],
    tokens: 1,
    maxWaitMs: 1_000_000,
    signal: new AbortController().signal,
    ...overrides,
  };
}

/** A logger that fails the test on anything worth a warning. */
export const strictLogger: Logger = {
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: complain,
  error: complain,
  fatal: complain,
};

function complain(fields: object, message?: string): void {
  throw new Error(`${message ?? 'logged'}: ${JSON.stringify(fields)}`);
}
