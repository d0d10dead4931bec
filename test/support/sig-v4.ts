import { createHash, createHmac } from 'node:crypto';

/**
 * The signature a request must have, worked out from what arrived, as the receiving side would:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function expectedAuthorization(
  request: { method: string; path: string; headers: Record<string, string>; body: string },
  credentials: { accessKeyId: string; secretAccessKey: string; region: string },
): string {
  const given = request.headers['authorization'] ?? '';
  const signedHeaders = /SignedHeaders=([^,]+)/.exec(given)?.[1] ?? '';
  const time = request.headers['x-amz-date'] ?? '';
  const scope = `${time.slice(0, 8)}/${credentials.region}/bedrock/aws4_request`;
  const canonical = [
    request.method,
    request.path.split('/').map(encodeURIComponent).join('/'),
    '',
    ...signedHeaders.split(';').map((name) => `${name}:${(request.headers[name] ?? '').trim()}`),
    '',
    signedHeaders,
    sha256(request.body),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  let key: string | Buffer = `AWS4${credentials.secretAccessKey}`;
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const credential = `${credentials.accessKeyId}/${scope}`;
  return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
