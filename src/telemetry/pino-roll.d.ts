declare module 'pino-roll' {
  import type { pino } from 'pino';

  /** The options used here; the rest is in pino-roll's README. */
  interface RollOptions {
    file: string;
    /** `10m` is ten megabytes. */
    size: string;
    limit: { count: number; removeOtherLogFiles: boolean };
    sync: boolean;
    contentMode: 'buffer';
    maxLength: number;
  }

  function roll(options: RollOptions): Promise<ReturnType<typeof pino.destination>>;
  export = roll;
}
