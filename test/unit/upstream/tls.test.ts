import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OK, type RawUpstream, startRawUpstream, whole } from '../../support/raw-upstream.js';

const CHILD = fileURLToPath(new URL('./tls-child.ts', import.meta.url));
const HAS_OPENSSL = hasOpenssl();

let folder: string;
let upstream: RawUpstream;
let port: string;
/** Of each connection: the server's name that was asked for, the protocol agreed on, whether it took up another's session. */
const made: { servername: string | false; protocol: string | false | null; isReused: boolean }[] = [];

beforeAll(async () => {
  if (!HAS_OPENSSL) return;
  folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'));
  const server = createServer({ ...selfSigned('localhost'), ALPNProtocols: ['h2', 'http/1.1'] });
  server.on('secureConnection', (socket: TLSSocket) => {
    const { servername, alpnProtocol } = socket as TLSSocket & { servername: string | false };
    made.push({ servername, protocol: alpnProtocol, isReused: socket.isSessionReused() });
  });
  // Refused handshakes are what the client is asked about.
  server.on('tlsClientError', () => {});
  upstream = await startRawUpstream(() => {}, { server, event: 'secureConnection', scheme: 'https' });
  port = new URL(upstream.url).port;
});
beforeEach(() => {
  made.length = 0;
  if (HAS_OPENSSL) upstream.setScript(({ socket }) => socket.write(whole('hi')));
});
afterAll(async () => {
  await upstream?.close();
  if (HAS_OPENSSL) rmSync(folder, { recursive: true });
});

/** A process that trusts the certificate, or does not. */
async function ask(urls: readonly string[], { isTrusted }: { isTrusted: boolean }): Promise<unknown> {
  const env = isTrusted ? { NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') } : {};
  const args = ['--import', 'tsx', CHILD, ...urls];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  return JSON.parse(stdout);
}

describe.skipIf(!HAS_OPENSSL)('a provider behind TLS', () => {
  it('is asked by its name, in HTTP/1.1, on a connection that is kept', async () => {
    const url = `https://localhost:${port}`;
    const answer = { status: 200, bytes: 2 };
    expect(await ask([url, url, url], { isTrusted: true })).toEqual([answer, answer, answer]);
    expect(made).toEqual([{ servername: 'localhost', protocol: 'http/1.1', isReused: false }]);
    expect(upstream.requests.at(-1)).toContain(`\r\nhost: localhost:${port}\r\n`);
  });

  it('takes up the session of the connection before', async () => {
    upstream.setScript(({ socket }) => socket.write(whole('hi', 'connection: close\r\n')));
    const url = `https://localhost:${port}`;
    await ask([url, url], { isTrusted: true });
    expect(made.map(({ isReused }) => isReused)).toEqual([false, true]);
  });

  it('may answer megabytes, with a length and in chunks', async () => {
    const body = 'x'.repeat(3_000_000);
    upstream.setScript(({ socket }, _request, index) => {
      const chunks = `${OK}transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      socket.write(index % 2 === 0 ? whole(body) : chunks);
    });
    const url = `https://localhost:${port}`;
    const answer = { status: 200, bytes: body.length };
    expect(await ask([url, url], { isTrusted: true })).toEqual([answer, answer]);
    expect(made).toHaveLength(1);
  });

  it('that nobody vouches for is not asked, and nothing was sent', async () => {
    const failure = { kind: 'connect', code: 'DEPTH_ZERO_SELF_SIGNED_CERT', sent: false };
    const before = upstream.requests.length;
    expect(await ask([`https://localhost:${port}`], { isTrusted: false })).toEqual([failure]);
    expect(upstream.requests).toHaveLength(before);
  });

  it('that goes by another name is not asked, and nothing was sent', async () => {
    const failure = { kind: 'connect', code: 'ERR_TLS_CERT_ALTNAME_INVALID', sent: false };
    const before = upstream.requests.length;
    expect(await ask([`https://127.0.0.1:${port}`], { isTrusted: true })).toEqual([failure]);
    expect(upstream.requests).toHaveLength(before);
  });
});

/** A key and a certificate for a name, by itself. */
function selfSigned(name: string): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '2'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], { stdio: 'pipe' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}
