import { type DestinationStream, pino } from 'pino';
import type { Logger } from '../domain/ports.js';
import { LineBuffer } from './line-buffer.js';
import { openLogFile } from './log-file.js';
import type { Sink } from './log-sink.js';
import { redactFields } from './redact.js';

export interface LoggerOptions {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  /** What goes to the terminal; the file is always JSON. */
  format: 'json' | 'pretty';
  file: { enabled: boolean; path: string; maxSizeMb: number; maxBackups: number };
  /** Where lines go beside the file: a descriptor, or a path for tests. 1, the standard output, where absent. */
  destination?: number | string;
}

export interface OpenLogger extends Logger {
  /** True when a line of this level would be written: to leave out work that only a line needs. */
  isEnabled(level: LoggerOptions['level']): boolean;
  /** Writes a line made by hand: whole, redacted and with its line end. It is made only when it will be written. */
  line(level: LoggerOptions['level'], make: (isoTime: string) => string): void;
  /** Resolves when everything logged so far has been handed to the operating system. Later lines are dropped. */
  close(): Promise<void>;
}

/** A reader of our output that stands still costs this much memory, and then lines. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/**
 * A logger that writes one JSON line a call, redacted, buffered for up to 200 ms, and flushed at exit.
 * A reload opens another and closes this one; both may hold the same file for a moment, as each appends whole lines.
 *
 * @throws UserError when the log file cannot be opened
 */
export async function createLogger(options: LoggerOptions): Promise<OpenLogger> {
  // Before anything is open: an error of the terminal or the file finds nobody listening in between.
  const forTerminal = await lineFormat(options.format);
  const file = options.file.enabled ? await openLogFile({ ...options.file, maxLength: MAX_BUFFERED_BYTES }) : null;
  const terminal: Sink = pino.destination({
    dest: options.destination ?? 1,
    sync: false,
    contentMode: 'buffer',
    maxLength: MAX_BUFFERED_BYTES,
  });
  const terminalLines = new LineBuffer(terminal);
  const fileLines = file === null ? null : new LineBuffer(file);

  let closed = false;
  const isoTime = isoClock();
  const stream: DestinationStream = {
    write(line) {
      // A late line of a part that is still stopping is no reason to fall.
      if (closed) return;
      terminalLines.add(forTerminal(line));
      fileLines?.add(line);
    },
  };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'msg',
      formatters: {
        level: (label) => ({ level: label }),
        log: redactFields as (fields: object) => Record<string, unknown>,
      },
      serializers: { err: (value: unknown) => value },
    },
    stream,
  );
  // The disk may fill, the directory vanish: the other place still has every line, and one that says so.
  file?.on('error', (error: Error) => {
    if (!closed) terminalLines.add(troubleLine(options.file.path, error));
  });
  terminal.on('error', (error: Error) => {
    if (!closed) fileLines?.add(troubleLine('standard output', error));
  });

  return {
    trace: logger.trace.bind(logger),
    debug: logger.debug.bind(logger),
    info: logger.info.bind(logger),
    warn: logger.warn.bind(logger),
    error: logger.error.bind(logger),
    fatal: logger.fatal.bind(logger),
    isEnabled: (level) => logger.isLevelEnabled(level),
    line(level, make) {
      if (logger.isLevelEnabled(level)) stream.write(make(isoTime()));
    },
    async close() {
      if (closed) return;
      closed = true;
      await Promise.all([terminalLines.close(), fileLines?.close()]);
    },
  };
}

/** The time as lines have it; under load many share a millisecond. */
function isoClock(): () => string {
  let at = Number.NaN;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) {
      at = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}

/** How a line of JSON looks on the terminal. */
async function lineFormat(format: LoggerOptions['format']): Promise<(line: string) => string> {
  if (format === 'json') return (line) => line;
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({ translateTime: 'SYS:HH:MM:ss.l', colorize: process.stdout.isTTY === true });
}

function troubleLine(target: string, error: Error): string {
  const time = new Date().toISOString();
  return `${JSON.stringify({ level: 'error', time, target, error: error.message, msg: 'log cannot be written' })}\n`;
}
