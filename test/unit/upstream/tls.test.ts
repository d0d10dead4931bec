import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer as createPlainServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OK, type RawUpstream, startRawUpstream, whole } from '../../support/raw-upstream.js';
import { until } from '../../support/until.js';

const CHILD = fileURLToPath(new URL('./tls-child.ts', import.meta.url));
const HAS_OPENSSL = hasOpenssl();

let folder: string;
let upstream: RawUpstream;
let port: string;
/** The connections below TLS. */
const raw: Socket[] = [];
/** Of each connection: the server's name that was asked for, the protocol agreed on, whether it took up another's session. */
const made: { servername: string | false; protocol: string | false | null; isReused: boolean }[] = [];

beforeAll(async () => {
  if (!HAS_OPENSSL) return;
  folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'));
  const server = createServer({ ...selfSigned('localhost', 'good.test'), ALPNProtocols: ['h2', 'http/1.1'] });
  server.on('secureConnection', (socket: TLSSocket) => {
    const { servername, alpnProtocol } = socket as TLSSocket & { servername: string | false };
    made.push({ servername, protocol: alpnProtocol, isReused: socket.isSessionReused() });
  });
  server.on('connection', (socket: Socket) => raw.push(socket));
  // Refused handshakes are what the client is asked about.
  server.on('tlsClientError', () => {});
  upstream = await startRawUpstream(() => {}, { server, event: 'secureConnection', scheme: 'https' });
  port = new URL(upstream.url).port;
});
beforeEach(() => {
  made.length = 0;
  raw.length = 0;
  upstream?.connections.splice(0);
  if (HAS_OPENSSL) upstream.setScript(({ socket }) => socket.write(whole('hi')));
});
afterAll(async () => {
  await upstream?.close();
  if (HAS_OPENSSL) rmSync(folder, { recursive: true });
});

/** A process that trusts the certificate, or does not. `go` is the next line it may wait for. */
function start(steps: readonly string[], { isTrusted }: { isTrusted: boolean }) {
  const env = isTrusted ? { NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') } : {};
  const args = ['--import', 'tsx', CHILD, ...steps];
  const running = promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  return {
    go: () => running.child.stdin?.write('\n'),
    told: running.then(({ stdout }): unknown => JSON.parse(stdout)),
  };
}

function ask(urls: readonly string[], options: { isTrusted: boolean }): Promise<unknown> {
  return start(urls, options).told;
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

describe.skipIf(!HAS_OPENSSL)('a kept connection behind TLS', () => {
  it.each<[string, (index: number) => void]>([
    ['ends', (index) => upstream.connections[index]?.socket.end()],
    ['ends without a word of TLS', (index) => raw[index]?.end()],
    ['resets', (index) => raw[index]?.resetAndDestroy()],
  ])('that the server %s while it is idle costs no call', async (_name, end) => {
    const url = `https://localhost:${port}`;
    const before = upstream.requests.length;
    const { go, told } = start([url, 'go', url, 'go', url, 'go', url], { isTrusted: true });
    for (let index = 0; index < 3; index += 1) {
      await until('a request', () => upstream.requests.length === before + index + 1);
      end(index);
      await upstream.connections[index]?.closed;
      go();
    }
    expect(await told).toEqual(Array.from({ length: 4 }, () => ({ status: 200, bytes: 2 })));
    expect(made).toHaveLength(4);
    expect(upstream.requests).toHaveLength(before + 4);
  });
});

describe.skipIf(!HAS_OPENSSL)('a reader that is slow', () => {
  it('stops a provider behind TLS, and gets everything in the end', async () => {
    const block = Buffer.alloc(64 * 1024, 'x');
    const total = 64 * 1024 * 1024;
    let written = 0;
    upstream.setScript(async ({ socket, closed }) => {
      socket.write(`${OK}content-length: ${total}\r\n\r\n`);
      for (; written < total && !socket.destroyed; written += block.length) {
        const drained = new Promise<void>((resolve) => socket.once('drain', resolve));
        if (!socket.write(block)) await Promise.race([drained, closed]);
      }
    });
    const { go, told } = start([`begin https://localhost:${port}`, 'go', 'rest'], { isTrusted: true });
    let before = 0;
    await until('the provider stops', async () => {
      const isSame = written === before && before > 0;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isSame;
    });
    expect(written).toBeLessThan(total);
    go();
    expect(await told).toEqual([{ status: 200, bytes: total }]);
  });
});

describe('a name with two addresses', () => {
  it.skipIf(!HAS_OPENSSL)('leads to the second where the first refuses, by its name', async () => {
    upstream.setScript(({ socket }) => socket.write(whole('hi', 'connection: close\r\n')));
    const url = `https://good.test:${port}`;
    const answer = { status: 200, bytes: 2 };
    expect(await ask([url, url], { isTrusted: true })).toEqual([answer, answer]);
    expect(made.map(({ servername }) => servername)).toEqual(['good.test', 'good.test']);
  });

  it.skipIf(!HAS_OPENSSL)('is not asked where the second goes by another name, and nothing was sent', async () => {
    const failure = { kind: 'connect', code: 'ERR_TLS_CERT_ALTNAME_INVALID', sent: false };
    const before = upstream.requests.length;
    expect(await ask([`https://bad.test:${port}`], { isTrusted: true })).toEqual([failure]);
    expect(upstream.requests).toHaveLength(before);
  });

  it('that both refuse is refused, and nothing was sent', async () => {
    const dead = await freePort();
    const failure = { kind: 'connect', code: 'ECONNREFUSED', sent: false };
    const urls = [`http://good.test:${dead}`, `https://good.test:${dead}`];
    expect(await ask(urls, { isTrusted: false })).toEqual([failure, failure]);
  });
});

/** One that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createPlainServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: free } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

/** A key and a certificate for some names, by itself. */
function selfSigned(...names: string[]): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const all = names.map((name) => `DNS:${name}`).join(',');
  const subject = ['-subj', `/CN=${names[0]}`, '-addext', `subjectAltName=${all}`, '-days', '2'];
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
