import type { OpenLogger } from './logger.js';

/** A logger whose place another takes while everybody keeps hold of this one. */
export interface SwappableLogger extends OpenLogger {
  /** Later lines go to the next; resolves when the one before has written its own and is closed. */
  swap(next: OpenLogger): Promise<void>;
}

export function createSwappableLogger(first: OpenLogger): SwappableLogger {
  let current = first;
  return {
    trace: (fields, message) => current.trace(fields, message),
    debug: (fields, message) => current.debug(fields, message),
    info: (fields, message) => current.info(fields, message),
    warn: (fields, message) => current.warn(fields, message),
    error: (fields, message) => current.error(fields, message),
    fatal: (fields, message) => current.fatal(fields, message),
    isEnabled: (level) => current.isEnabled(level),
    line: (level, make) => current.line(level, make),
    async swap(next) {
      const before = current;
      current = next;
      await before.close();
    },
    close: () => current.close(),
  };
}
