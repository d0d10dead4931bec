import { createHash } from 'node:crypto';
import type { Secret } from '../domain/secret.js';

const HEX_DIGITS = 12;

/** What rows, logs and state call a key: `groq:1a2b3c4d5e6f`, the start of its SHA-256 behind the provider's id. */
export function keyFingerprint(providerId: string, secret: Secret): string {
  const hash = createHash('sha256').update(secret.reveal()).digest('hex');
  return `${providerId}:${hash.slice(0, HEX_DIGITS)}`;
}
