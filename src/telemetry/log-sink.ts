import type { pino } from 'pino';

/** Where lines go: sonic-boom's buffered, asynchronous file writer, which pino comes with. */
export type Sink = ReturnType<typeof pino.destination>;

/** An exit does not wait longer than this for a reader that stands still. */
const CLOSE_MS = 2000;

/** Writes what is buffered and closes; the standard streams stay open. Resolves within two seconds whatever happens. */
export async function closeSink(sink: Sink): Promise<void> {
  await new Promise<void>((resolve) => {
    const giveUp = setTimeout(() => {
      sink.destroy();
      resolve();
    }, CLOSE_MS);
    sink.once('close', () => {
      clearTimeout(giveUp);
      resolve();
    });
    // Whoever opened the sink reports its errors; here they only end the wait.
    sink.once('error', () => {
      clearTimeout(giveUp);
      resolve();
    });
    sink.end();
  });
}
