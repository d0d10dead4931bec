import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UserError } from '../domain/errors.js';

/** @throws UserError when the address cannot be had */
export async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen(port, host, () => resolve());
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): UserError {
  const where = `${host}:${port}`;
  const why =
    error.code === 'EADDRINUSE'
      ? `something else listens on ${where} already; stop it, or set server.listen or PORT to another port`
      : error.code === 'EACCES'
        ? `this user may not listen on ${where}; ports below 1024 need a privilege`
        : error.code === 'EADDRNOTAVAIL'
          ? `this machine has no address ${host}`
          : `cannot listen on ${where}: ${error.message}`;
  return new UserError(why, { cause: error });
}

/** Cuts what is still open. */
export async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  if (!server.listening) return;
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

export function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  const host = address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address;
  return `http://${family === 'IPv6' && host !== '127.0.0.1' ? `[${host}]` : host}:${port}`;
}
