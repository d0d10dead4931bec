import type { Socket } from 'node:net';

function end(this: Socket): void {
  this.destroy();
}

/**
 * To be called now and then. Ends a connection on which something waits for its client, of which it takes nothing for
 * `takeMs` (to twice as long) while it sends nothing either. Where nothing waits, silence is nobody's fault. The timeout
 * is the socket's own since that knows how far a write under way has come.
 */
export function lookAtTaking(socket: Socket, takeMs: number): void {
  const isTimed = socket.timeout === takeMs;
  if (socket.writableLength > 0 === isTimed) return;
  if (isTimed) leaveUntimed(socket);
  else socket.off('timeout', end).setTimeout(takeMs, end);
}

export function leaveUntimed(socket: Socket): void {
  if (socket.timeout !== undefined) socket.setTimeout(0, end);
}
