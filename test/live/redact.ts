import type { HeaderFields } from '../../src/domain/provider.js';
import { scrub } from '../../src/wire/scrub.js';

const REDACTED = '[redacted]';

/** Headers that say nothing of an account, and that adapters or the router read. No other is written down. */
const KEPT_HEADERS = new Set(['content-type', 'accept', 'anthropic-version', 'date', 'retry-after', 'retry-after-ms']);

/** Ids of accounts, organisations, projects and people, as providers write them. */
const IDS: ReadonlyArray<readonly [RegExp, string]> = [
  // With a digit in it: `team-building` is a word.
  [/\b(org|proj|user|acct|wrkspc|team|ws)[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{8,}/g, `$1-${REDACTED}`],
  [/(?<=(?:arn|ARN)(?::|%3A)[^"\s]{0,80}(?::|%3A))\d{12}(?=:|%3A)/g, '000000000000'],
  [/[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}/g, REDACTED],
  [
    /("(?:organi[sz]ation|account|project|workspace|user|team|owner)(?:_?(?:id|name|uuid))?"\s*:\s*)"(?:[^"\\]|\\.)*"/gi,
    `$1"${REDACTED}"`,
  ],
];

/** A text without keys, ids of accounts and addresses of people. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = scrub(text, secrets);
  for (const [pattern, instead] of IDS) clean = clean.replace(pattern, instead);
  return clean;
}

/** The headers that may be kept, and the names of the others. */
export function keepHeaders(headers: HeaderFields, secrets: readonly string[]) {
  const kept: HeaderFields = {};
  const dropped: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (KEPT_HEADERS.has(name.toLowerCase())) kept[name] = redact(value, secrets);
    else dropped.push(name);
  }
  return { kept, dropped };
}

/** @throws Error when there is still something in it that should not be written down */
export function assertClean(what: string, text: string, secrets: readonly string[]): void {
  if (redact(text, secrets) !== text) throw new Error(`${what} holds what looks like a secret: it is not written down`);
}
