import { hash, timingSafeEqual } from 'node:crypto';
import type { Client, ClientDirectory } from '../domain/client.js';
import { WaybillError } from '../domain/errors.js';
import type { Clock } from '../domain/ports.js';

/** A client and the hash its key must have. The key itself is nowhere kept. */
export interface KnownClient {
  client: Client;
  /** SHA-256 of the key, lower-case hex. */
  keySha256: string;
  /** Epoch milliseconds; null for never. */
  expiresAt: number | null;
}

const SHA256_HEX_BYTES = 64;

/** Finds clients by their key's hash; the hash found is compared in constant time. */
export function createClientDirectory(known: readonly KnownClient[], clock: Clock): ClientDirectory {
  const byHash = new Map(
    known.map(({ client, keySha256, expiresAt }) => [
      keySha256,
      { client, expiresAt, hash: Buffer.from(keySha256, 'latin1') },
    ]),
  );
  const presentedHash = Buffer.alloc(SHA256_HEX_BYTES);
  return {
    identify(presentedKey) {
      if (presentedKey === null || presentedKey === '') {
        throw new WaybillError('invalid_api_key', {
          message: 'No API key was given. Send it as `Authorization: Bearer <key>`.',
        });
      }
      const hex = hash('sha256', presentedKey, 'hex');
      const entry = byHash.get(hex);
      presentedHash.write(hex, 'latin1');
      if (entry === undefined || !timingSafeEqual(entry.hash, presentedHash)) {
        throw new WaybillError('invalid_api_key', { message: 'The API key is not known.' });
      }
      if (entry.expiresAt !== null && clock.now() >= entry.expiresAt) {
        throw new WaybillError('invalid_api_key', {
          message: `The API key of client \`${entry.client.id}\` expired on ${new Date(entry.expiresAt).toISOString()}.`,
        });
      }
      return entry.client;
    },
  };
}

/** Without `api_keys` every caller is one client; only ever on loopback. */
export function createOpenDirectory(client: Client): ClientDirectory {
  return { identify: () => client };
}
