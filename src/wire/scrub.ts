const REDACTED = '[redacted]';
/** Shorter secrets would take ordinary words with them. */
const MIN_SECRET_LENGTH = 4;
const MIN_ENCODED_LENGTH = 8;

/** What keys look like, so that one we do not know (a provider's own, a client's) is not repeated either. */
const KEY_SHAPES = [
  /\b(?:sk|pk|rk|hf|gsk|xai|r8|pplx|nvapi|fw|tgp|csk|key)[-_](?=[A-Za-z0-9_-]*[0-9A-Z])[A-Za-z0-9_-]{12,}/g,
  /\bAIza[0-9A-Za-z_-]{30,}/g,
];
const BEARER = /\b(Bearer|Basic)(\s+|%20)[A-Za-z0-9._~+/=-]{8,}/gi;

/**
 * Provider text with secrets removed: each of `secrets` as such, URL-encoded and in base64 (inside longer base64 too),
 * and whatever looks like a key. For errors, headers and logs; an answer's content is never touched.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const form of secrets.flatMap(withInner).flatMap(formsOf)) {
    if (clean.includes(form)) clean = clean.replaceAll(form, REDACTED);
  }
  clean = clean.replace(BEARER, `$1$2${REDACTED}`);
  for (const shape of KEY_SHAPES) clean = clean.replace(shape, REDACTED);
  return clean;
}

/** A key that is a JSON object (Llama Stack's) holds further keys, and each of them is one. */
function withInner(secret: string): string[] {
  if (!secret.startsWith('{')) return [secret];
  try {
    const inner: unknown[] = Object.values(JSON.parse(secret) as object);
    return [secret, ...inner.filter((value) => typeof value === 'string')];
  } catch {
    // A key that only begins like JSON.
    return [secret];
  }
}

function formsOf(secret: string): string[] {
  if (secret.length < MIN_SECRET_LENGTH) return [];
  const forms = new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]);
  if (secret.length >= MIN_ENCODED_LENGTH) {
    for (const form of base64Forms(secret)) forms.add(form);
  }
  // Longest first: a form that holds another one must go as a whole.
  return [...forms].sort((a, b) => b.length - a.length);
}

/** The characters that base64 gives a text wherever in the encoded bytes it begins. */
function base64Forms(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const forms: string[] = [];
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const first = before === 0 ? 0 : before + 1;
    const last = (before + bytes.length) % 3 === 0 ? encoded.length : encoded.length - 1;
    const form = encoded.slice(first, last);
    forms.push(form, form.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}
