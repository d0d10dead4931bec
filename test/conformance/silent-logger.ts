import type { Logger } from '../../src/domain/ports.js';

const say = () => {};

/** For tests that are not about logs. */
export const silentLogger: Logger = { trace: say, debug: say, info: say, warn: say, error: say, fatal: say };
