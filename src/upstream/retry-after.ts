import type { StatedLimit } from '../domain/limit.js';
import type { Clock } from '../domain/ports.js';
import type { HeaderFields } from '../domain/provider.js';
import { parseSpan } from '../wire/duration.js';

/** Numbers above these are instants, not waits. */
const EPOCH_SECONDS_FROM = 1e9;
const EPOCH_MS_FROM = 1e11;

/** `x-ratelimit-reset-requests`, `x-ratelimit-reset-tokens-minute`, `x-ratelimit-reset`, `ratelimit-reset`. */
const RESET = /^(x-)?ratelimit-reset(-.*)?$/;
const REMAINING = /^(x-)?ratelimit-remaining-(requests|tokens)(-.*)?$/;
/** Anthropic's order: `anthropic-ratelimit-requests-remaining`. Source: docs.claude.com, "Rate limits". */
const ANTHROPIC_REMAINING = /^anthropic-ratelimit-(requests|tokens)-remaining$/;
const ANTHROPIC_RESET = /^anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-reset$/;
/** `retry-after-ms` is Azure's and OpenAI's, the other that of other services of Azure's. */
const WAIT_MS = ['retry-after-ms', 'x-ms-retry-after-ms'];

/**
 * How long an error asks to wait, in milliseconds: `retry-after-ms`, then `Retry-After` (seconds or a date, RFC 9110
 * section 10.2.3), then the resets of those limits that are used up: `x-ratelimit-*`, `anthropic-ratelimit-*`, and
 * `RateLimit` as Hugging Face's Hub sends it. Null when nothing was asked.
 * Header names are in lower case; `now` is in epoch milliseconds.
 */
export function readRetryAfter(headers: HeaderFields, now: number): number | null {
  for (const name of WAIT_MS) {
    const ms = plainNumber(headers[name]);
    if (ms !== null) return Math.ceil(ms);
  }
  const asked = headers['retry-after'];
  const wait = asked === undefined ? null : parseWait(asked, now);
  return wait ?? exhaustedReset(headers, now);
}

/** The longest reset among the limits that have nothing left, or that do not say what is left. */
function exhaustedReset(headers: HeaderFields, now: number): number | null {
  let longest: number | null = null;
  for (const [name, value] of Object.entries(headers)) {
    if (!RESET.test(name) && !ANTHROPIC_RESET.test(name)) continue;
    const remaining = plainNumber(headers[name.replace('-reset', '-remaining')]);
    if (remaining !== null && remaining > 0) continue;
    const wait = parseWait(value, now);
    if (wait !== null && (longest === null || wait > longest)) longest = wait;
  }
  return longest ?? usedUpQuota(headers['ratelimit']);
}

/**
 * `"api";r=0;t=55`: what remains, and seconds until it is whole again. Sources: huggingface.co/docs/hub/rate-limits,
 * draft-ietf-httpapi-ratelimit-headers.
 */
function usedUpQuota(field: string | undefined): number | null {
  let longest: number | null = null;
  for (const item of (field ?? '').slice(0, 1_000).split(',')) {
    const seconds = /;\s*r=0(?:;|\s|$)/.test(item) ? /;\s*t=(\d{1,9})(?:;|\s|$)/.exec(item)?.[1] : undefined;
    if (seconds !== undefined) longest = Math.max(longest ?? 0, Number(seconds) * 1_000);
  }
  return longest;
}

/** What the provider says is left of its limits, where it also says until when. */
export function readStatedLimits(headers: HeaderFields, clock: Pick<Clock, 'now'>): StatedLimit[] {
  const limits: StatedLimit[] = [];
  for (const name in headers) {
    if (!name.includes('ratelimit')) continue;
    const kind = REMAINING.exec(name)?.[2] ?? ANTHROPIC_REMAINING.exec(name)?.[1];
    if (kind === undefined) continue;
    const remaining = plainNumber(headers[name]);
    const reset = headers[name.replace('remaining', 'reset')];
    // Azure states -1 for a limit it does not know.
    if (remaining === null || reset === undefined) continue;
    const resetMs = parseWait(reset, clock.now());
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
  // The oldest form of an HTTP date (asctime's) names no zone, and means GMT.
  const isAsctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/.test(trimmed);
  const instant = Date.parse(isAsctime ? `${trimmed} GMT` : trimmed);
  return Number.isNaN(instant) ? null : untilMs(instant, now);
}

function untilMs(instant: number, now: number): number {
  return Math.max(0, Math.ceil(instant - now));
}

/** A non-negative decimal; null for anything else. */
function plainNumber(text: string | undefined): number | null {
  return text !== undefined && /^\s*\d+(\.\d*)?\s*$/.test(text) ? Number(text) : null;
}
