import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import type { SignatureV4 } from '@smithy/signature-v4';
import type { HeaderFields, SignableRequest } from '../../domain/provider.js';
import type { Secret } from '../../domain/secret.js';
import { bearer } from '../openai-compatible.js';
import { DEFAULT_REGION, regionIn, regionOf } from './region.js';

const SERVICE = 'bedrock';
/** What a signature adds. */
const SIGNATURE_HEADERS = ['authorization', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token'];

type Sha256Constructor = ConstructorParameters<typeof SignatureV4>[0]['sha256'];
type Bytes = Parameters<InstanceType<Sha256Constructor>['update']>[0];

/** Node's own SHA-256, as the signing library wants to be given it. */
class NodeSha256 {
  readonly #secret: Bytes | undefined;
  #hash: Hash | Hmac;

  constructor(secret?: Bytes) {
    this.#secret = secret;
    this.#hash = this.#open();
  }

  update(data: Bytes): void {
    this.#hash.update(toBytes(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    this.#hash = this.#open();
  }

  #open(): Hash | Hmac {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', toBytes(this.#secret));
  }
}

function toBytes(data: Bytes): string | Uint8Array {
  if (typeof data === 'string') return data;
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/** `ACCESS_KEY:SECRET[:SESSION]`; null for a Bedrock API key, which has no colon and is sent as it is. */
function credentialsIn(key: Secret): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | null {
  const [accessKeyId = '', secretAccessKey, ...session] = key.reveal().split(':');
  if (secretAccessKey === undefined) return null;
  const sessionToken = session.join(':');
  return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) };
}

/** A Bedrock API key as a bearer token; credentials sign, and are not sent. */
export function authenticateBedrock(key: Secret): HeaderFields {
  return credentialsIn(key) === null ? bearer(key) : {};
}

/** AWS repeats what was signed when a signature is wrong, the session token with it. */
export function secretsInBedrockKey(key: Secret): readonly string[] {
  const credentials = credentialsIn(key);
  if (credentials === null) return [];
  return Object.values(credentials).filter((part) => part !== '');
}

/**
 * AWS Signature Version 4 over all headers and the body.
 * Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html,
 * https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
 */
export async function signForBedrock(request: SignableRequest, key: Secret): Promise<HeaderFields> {
  const credentials = credentialsIn(key);
  if (credentials === null) return {};
  const { protocol, hostname, host, pathname } = new URL(request.url);
  // Loaded by the first who signs: most daemons never do.
  const { SignatureV4: Signer } = await import('@smithy/signature-v4');
  const signer = new Signer({
    credentials,
    service: SERVICE,
    region: regionIn(request.url) ?? regionOf(request.region) ?? DEFAULT_REGION,
    sha256: NodeSha256,
  });
  const signed = await signer.sign(
    {
      method: request.method,
      protocol,
      hostname,
      path: pathname,
      headers: { ...request.headers, host },
      body: request.body,
    },
    { signingDate: new Date(request.now) },
  );
  return Object.fromEntries(Object.entries(signed.headers).filter(([name]) => SIGNATURE_HEADERS.includes(name)));
}
