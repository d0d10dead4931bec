import type { StatedLimit } from '../domain/limit.js';
import type { HeaderFields } from '../domain/provider.js';

/** Numbers above these are instants, not waits. */
const EPOCH_SECONDS_FROM = 1e9;
const EPOCH_MS_FROM = 1e11;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `x-ratelimit-reset-requests`, `x-ratelimit-reset-tokens-minute`, `x-ratelimit-reset`, `ratelimit-reset`. */
const RESET = /^(x-)?ratelimit-reset(-.*)?$/;
const REMAINING = /^(x-)?ratelimit-remaining-(requests|tokens)(-.*)?$/;
/** Anthropic's order: `anthropic-ratelimit-requests-remaining`. */
const ANTHROPIC_REMAINING = /^anthropic-ratelimit-(requests|tokens)-remaining$/;

/**
 * How long an error asks to wait, in milliseconds: `retry-after-ms`, then `Retry-After` (seconds or a date, RFC 9110
 * section 10.2.3), then the resets of those `x-ratelimit-*` limits that are used up. Null when nothing was asked.
 * Header names are in lower case; `now` is in epoch milliseconds.
 */
export function readRetryAfter(headers: HeaderFields, now: number): number | null {
  const ms = plainNumber(headers['retry-after-ms']);
  if (ms !== null) return Math.ceil(ms);
  const asked = headers['retry-after'];
  const wait = asked === undefined ? null : parseWait(asked, now);
  return wait ?? exhaustedReset(headers, now);
}

/** The longest reset among the limits that have nothing left, or that do not say what is left. */
function exhaustedReset(headers: HeaderFields, now: number): number | null {
  let longest: number | null = null;
  for (const [name, value] of Object.entries(headers)) {
    const match = RESET.exec(name);
    if (match === null) continue;
    const remaining = plainNumber(headers[name.replace('-reset', '-remaining')]);
    if (remaining !== null && remaining > 0) continue;
    const wait = parseWait(value, now);
    if (wait !== null && (longest === null || wait > longest)) longest = wait;
  }
  return longest;
}

/** What the provider says is left of its limits, where it also says until when. */
export function readStatedLimits(headers: HeaderFields, now: number): StatedLimit[] {
  const limits: StatedLimit[] = [];
  for (const name in headers) {
    if (!name.includes('ratelimit')) continue;
    const kind = REMAINING.exec(name)?.[2] ?? ANTHROPIC_REMAINING.exec(name)?.[1];
    if (kind === undefined) continue;
    const remaining = plainNumber(headers[name]);
    const reset = headers[name.replace('remaining', 'reset')];
    // Azure states -1 for a limit it does not know.
    if (remaining === null || reset === undefined) continue;
    const resetMs = parseWait(reset, now);
    if (resetMs === null) continue;
    limits.push({ kind: kind === 'requests' ? 'requests' : 'tokens', remaining: Math.floor(remaining), resetMs });
  }
  return limits;
}

/**
 * A wait in any of the forms met: `20`, `24588.03` (seconds), `1s`, `6m0s`, `88ms`, `1h2m3.5s`, epoch seconds or
 * milliseconds, an ISO 8601 or HTTP date. Milliseconds; 0 for what has passed; null for anything else.
 */
export function parseWait(text: string, now: number): number | null {
  const trimmed = text.trim();
  const figure = plainNumber(trimmed);
  if (figure !== null) {
    if (figure >= EPOCH_MS_FROM) return untilMs(figure, now);
    if (figure >= EPOCH_SECONDS_FROM) return untilMs(figure * 1000, now);
    return Math.ceil(figure * 1000);
  }
  const span = parseSpan(trimmed);
  if (span !== null) return span;
  // `Date.parse` reads much that is no date (`-1`, `1 apple`): only what begins like one is given to it.
  if (!/^(\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2})/.test(trimmed)) return null;
  const instant = Date.parse(trimmed);
  return Number.isNaN(instant) ? null : untilMs(instant, now);
}

function parseSpan(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(text)) return null;
  let sum = 0;
  for (const [, figure, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    sum += Number(figure) * (UNIT_MS[unit as string] as number);
  }
  return Math.ceil(sum);
}

function untilMs(instant: number, now: number): number {
  return Math.max(0, Math.ceil(instant - now));
}

/** A non-negative decimal; null for anything else. */
function plainNumber(text: string | undefined): number | null {
  return text !== undefined && /^\s*\d+(\.\d*)?\s*$/.test(text) ? Number(text) : null;
}
