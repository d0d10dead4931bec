import { field, Refusal } from './fields.js';

/** Keys whose value is written with a unit, or in a form of its own: durations, sizes, addresses, instants. */

const MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Record<string, number> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };
const DURATION = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;
const SIZE = /^(\d{1,9}(?:\.\d{1,3})?)(b|kb|mb|gb)$/i;
/** Timers of Node hold no more than 2^31 - 1 milliseconds. */
const MAX_TIMER_MS = 2_147_483_647;

/** Milliseconds out of `<n>(ms|s|m|h|d)`. */
export function duration(bounds: { minMs?: number; units?: 'any' | 'm|h|d' } = {}) {
  const { minMs = 0, units = 'any' } = bounds;
  const form = units === 'any' ? '<number>(ms|s|m|h|d), such as 30s' : '<number>(m|h|d), such as 1h';
  return field({
    shape: { type: 'string', pattern: units === 'any' ? DURATION.source : '^\\d+(m|h|d)$' },
    expects: `a duration ${form}${minMs > 0 ? ', above 0' : ''}, of at most 24d`,
    parse: (value) => {
      if (typeof value !== 'string') return undefined;
      const [, count, unit = ''] = DURATION.exec(value.trim()) ?? [];
      if (count === undefined) {
        return /^\d+$/.test(value) ? new Refusal(`expected a duration with its unit, such as ${value}s`) : undefined;
      }
      if (units !== 'any' && (unit === 'ms' || unit === 's')) return undefined;
      const ms = Math.round(Number(count) * (MS[unit] as number));
      return ms < minMs || ms > MAX_TIMER_MS ? undefined : ms;
    },
  });
}

/** Milliseconds of a time span that may be longer than a timer holds: a session window. */
export function sessionWindow() {
  return field({
    shape: { type: 'string', pattern: '^\\d+(m|h|d)$' },
    expects: 'a window <number>(m|h|d), such as 1h, from 1m to 366d',
    parse: (value) => {
      const [, count, unit = ''] = /^(\d{1,6})(m|h|d)$/.exec(typeof value === 'string' ? value.trim() : '') ?? [];
      if (count === undefined) return undefined;
      const ms = Number(count) * (MS[unit] as number);
      return ms < 60_000 || ms > 366 * 86_400_000 ? undefined : ms;
    },
  });
}

/** Bytes out of `<n>(b|kb|mb|gb)`; a kb is 1,024 bytes. */
export function size() {
  return field({
    shape: { type: 'string', pattern: SIZE.source },
    expects: 'a size <number>(b|kb|mb|gb), such as 20mb, from 1kb to 2gb',
    parse: (value) => {
      const [, count, unit = ''] = SIZE.exec(typeof value === 'string' ? value.trim() : '') ?? [];
      if (count === undefined) return undefined;
      const bytes = Math.round(Number(count) * (BYTES[unit.toLowerCase()] as number));
      return bytes < 1024 || bytes > 2 * 1024 ** 3 ? undefined : bytes;
    },
  });
}

export interface ListenAddress {
  host: string;
  port: number;
}

const LISTEN = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/;

/** `127.0.0.1:2906`, `[::1]:2906`, `localhost:2906`, `:2906` (every interface); port 0 takes any free one. */
export function listenAddress() {
  return field<ListenAddress>({
    shape: { type: 'string' },
    expects: 'host:port, such as 127.0.0.1:2906 or :2906, with a port from 0 to 65535',
    parse: parseListen,
  });
}

export function parseListen(value: unknown): ListenAddress | undefined {
  const match = LISTEN.exec(typeof value === 'string' ? value.trim() : '');
  if (match === null) return undefined;
  const [, v6, name, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  return { host: v6 ?? (name === undefined || name === '' ? '0.0.0.0' : name), port };
}

/** True for an address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** An http(s) URL without query, fragment or credentials; a trailing slash is taken off. */
export function httpUrl() {
  return field({
    shape: { type: 'string' },
    expects: 'a URL such as https://host/path',
    parse: (value) => {
      if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
      const url = new URL(value);
      if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
      if (url.username !== '' || url.password !== '')
        return new Refusal('a URL must not hold a password; use `headers` or `api_keys`');
      if (url.search !== '' || url.hash !== '') return new Refusal('a URL here has no `?` and no `#`');
      return value.trim().replace(/\/+$/, '');
    },
  });
}

/** A database URL: kept secret, because it holds a password. */
export function databaseUrl(schemes: readonly string[], example: string) {
  return field({
    shape: { type: 'string' },
    expects: `a URL such as ${example}`,
    secret: true,
    parse: (value) => {
      if (typeof value !== 'string') return undefined;
      return schemes.some((scheme) => value.startsWith(`${scheme}:`)) ? value : undefined;
    },
  });
}

export function timeZone() {
  return field({
    shape: { type: 'string' },
    expects: 'a time zone such as Europe/Berlin or UTC',
    parse: (value) => {
      if (typeof value !== 'string' || value === '') return undefined;
      try {
        new Intl.DateTimeFormat('en', { timeZone: value });
        return value;
      } catch (error) {
        if (error instanceof RangeError) return undefined;
        throw error;
      }
    },
  });
}

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2}))?$/;

/** Epoch milliseconds out of an ISO 8601 date (midnight UTC) or a time with its offset. */
export function instant() {
  return field({
    shape: { type: 'string' },
    expects: 'a date or time such as 2027-01-01 or 2027-01-01T00:00:00Z',
    parse: (value) => {
      const written = typeof value === 'string' ? value.trim() : '';
      const match = INSTANT.exec(written);
      if (match === null) {
        return /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}/.test(written)
          ? new Refusal(`a time needs its offset: \`${written}Z\` for UTC`)
          : undefined;
      }
      const [, year, month, day] = match.map(Number);
      // Date accepts 30 February and means 2 March.
      const calendar = new Date(Date.UTC(year as number, (month as number) - 1, day as number));
      if (calendar.getUTCDate() !== day || calendar.getUTCMonth() + 1 !== month) return undefined;
      const ms = Date.parse(written.replace(' ', 'T').toUpperCase());
      return Number.isNaN(ms) ? undefined : ms;
    },
  });
}
