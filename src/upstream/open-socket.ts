import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { ProtocolError } from './protocol-error.js';

/** Where a connection leads. */
export interface Address {
  isTls: boolean;
  /** A name, or an address without brackets. */
  hostname: string;
  port: number;
  /** As the `host` header says it. */
  host: string;
}

/** How long a connection is silent before the system asks whether the other side is still there. */
const PROBE_AFTER_MS = 60_000;

/**
 * Scheme, host and port of a URL.
 * @throws TypeError for what is none, ProtocolError for one that leads nowhere we know how to go
 */
export function parseAddress(origin: string): Address {
  const url = new URL(origin);
  const isTls = url.protocol === 'https:';
  if ((!isTls && url.protocol !== 'http:') || url.pathname !== '/') {
    throw new ProtocolError('UND_ERR_INVALID_ARG', 'invalid URL: it must start with http:// or https://');
  }
  const hostname = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  return { isTls, hostname, port: Number(url.port || (isTls ? 443 : 80)), host: url.host };
}

/** A socket that hands what comes straight to `onread`. It has connected when `connectedEvent` is emitted. */
export function openSocket(address: Address, onread: OnReadOpts, session: Buffer | null): Socket {
  const { hostname: host, port } = address;
  const socket = address.isTls ? connectTls(tlsOptions(address, onread, session)) : connect({ host, port, onread });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, PROBE_AFTER_MS);
  return socket;
}

export function connectedEvent({ isTls }: Address): 'secureConnect' | 'connect' {
  return isTls ? 'secureConnect' : 'connect';
}

export function connectTimeout({ host }: Address, ms: number): Error {
  const message = `Connect Timeout Error (attempted address: ${host}, timeout: ${ms}ms)`;
  return new ProtocolError('UND_ERR_CONNECT_TIMEOUT', message);
}

/** Whatever ends a connection that is being made, a TLS handshake that breaks off too: nothing was sent. */
export function beforeConnected(error: Error): Error {
  return Object.assign(error, { syscall: 'connect' });
}

function tlsOptions(
  { hostname, port }: Address,
  onread: OnReadOpts,
  session: Buffer | null,
): ConnectionOptions & { onread: OnReadOpts } {
  const options = { host: hostname, port, onread, ALPNProtocols: ['http/1.1'] };
  return {
    ...options,
    // An address is no server name (RFC 6066, section 3).
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(session === null ? {} : { session }),
  };
}
