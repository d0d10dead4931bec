const REDACTED = '[redacted]';

/** Field names, in lower case, whose values never reach a log line. Ids go under `keyId`, which is none of them. */
const SENSITIVE_NAMES = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-goog-api-key',
  'x-waybill-provider-key',
  'api-key',
  'api_key',
  'apikey',
  'api_keys',
  'apikeys',
  'admin_api_key',
  'adminkey',
  'key',
  'keys',
  'secret',
  'password',
  'token',
  'access_token',
]);

/** Deeper than this a log line says `[deep]`: a line is for reading, and a cycle must end. */
const MAX_DEPTH = 5;

/** Credentials in the shapes they are met in: a bearer header, and the prefixes of the common providers' keys. */
const CREDENTIAL =
  /\b(Bearer|Basic)\s+[\w.~+/=-]{8,}|\b(?:sk|pk|rk|hf|gsk|xai|r8|nvapi|wb)[-_][\w-]{16,}|\bAIza[\w-]{20,}/g;

/** Text with anything that looks like a credential taken out. The belt; `Secret` is the braces. */
export function redactText(text: string): string {
  return text.replace(CREDENTIAL, (_match, scheme: string | undefined) =>
    scheme === undefined ? REDACTED : `${scheme} ${REDACTED}`,
  );
}

/**
 * Fields as they may be logged. Values under sensitive names become `[redacted]`, errors become plain objects with
 * credentials taken out of their texts, bigints become text. What needs no change is returned as it is, uncopied.
 */
export function redactFields(fields: object): object {
  return redactObject(fields, 0);
}

function redactObject(fields: object, depth: number): object {
  if (fields instanceof Error) return { err: errorFields(fields, depth) };
  let copy: Record<string, unknown> | null = null;
  for (const [name, value] of Object.entries(fields)) {
    const safe = isSensitive(name) && value !== null && value !== undefined ? REDACTED : redactValue(value, depth);
    if (safe === value) continue;
    copy ??= { ...fields };
    copy[name] = safe;
  }
  return copy ?? fields;
}

function redactValue(value: unknown, depth: number): unknown {
  // Short texts of our own making (ids, names, codes) are most of a line; a credential with its prefix is longer.
  if (typeof value === 'string') return value.length < 16 ? value : redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (value instanceof Error) return errorFields(value, depth);
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  // A Secret, a Date: their own toJSON says what may be seen.
  if ('toJSON' in value) return value;
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
  return redactObject(value, depth + 1);
}

function errorFields(error: Error, depth: number): Record<string, unknown> {
  const fields: Record<string, unknown> = {
    type: error.name,
    message: redactText(error.message),
    stack: redactText(error.stack ?? ''),
  };
  if ('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')) fields.code = error.code;
  if (error.cause !== undefined) fields.cause = redactValue(error.cause, depth + 1);
  return fields;
}

function isSensitive(name: string): boolean {
  return SENSITIVE_NAMES.has(name) || (HAS_CAPITAL.test(name) && SENSITIVE_NAMES.has(name.toLowerCase()));
}

const HAS_CAPITAL = /[A-Z]/;
