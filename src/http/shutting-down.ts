import { WaybillError } from '../domain/errors.js';
import { type Lifeline, ShutdownError } from '../domain/lifeline.js';

/** For requests that come while the daemon stops. */
export function shuttingDown(): WaybillError {
  return new WaybillError('shutting_down', { message: 'The router is stopping.', retryAfterMs: 1_000 });
}

/** What comes of the work, unless a stop cuts its request before. @throws WaybillError shutting_down */
export function unlessCut<T>(life: Lifeline, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    // A client that leaves breaks off what it sends, of which the work tells itself.
    const onEnd = () => {
      if (life.reason instanceof ShutdownError) reject(shuttingDown());
    };
    const settle = <V>(how: (value: V) => void) => {
      return (value: V) => {
        life.offEnd(onEnd);
        how(value);
      };
    };
    life.onEnd(onEnd);
    work.then(settle(resolve), settle(reject));
  });
}
