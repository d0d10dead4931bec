import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';

/** What one read brings at most. */
const READ_BYTES = 64 * 1_024;

/** Told the first `size` bytes of a read, which are its own until it returns. */
export type TakeRead = (data: Buffer, size: number) => void;

/** Node's own side of a socket, as far as it is touched here. */
type Inside = { _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null } & Record<symbol, unknown>;

/**
 * Reads of accepted sockets, all of them into one buffer. Node makes a buffer for each read of a socket, unless that was
 * made with `onread`, and for those that a server accepts there is no such option. Where it is kept is seen on a socket
 * that is made with it. Where it is not to be seen, nothing is touched, and sockets are read as ever.
 */
export class SharedReads {
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #places = placesOfOnread();

  /** From now on `take` is told what is read. False where that cannot be, and then nothing has changed. */
  begin(socket: Socket, take: TakeRead): boolean {
    const inside = socket as unknown as Inside;
    if (this.#places === null || typeof inside._handle?.useUserBuffer !== 'function') return false;
    inside[this.#places.buffer] = this.#buffer;
    inside[this.#places.callback] = (size: number, read: Buffer) => {
      take(read, size);
      return true;
    };
    inside._handle.useUserBuffer(this.#buffer);
    return true;
  }

  /** From now on what is read can be had of the socket, as of any other. */
  end(socket: Socket): void {
    const inside = socket as unknown as Inside;
    if (this.#places === null || inside[this.#places.buffer] !== this.#buffer) return;
    inside[this.#places.callback] = (size: number, read: Buffer) => socket.push(Buffer.from(read.subarray(0, size)));
  }
}

/** The properties that hold the two parts of the option; null where no two do. */
function placesOfOnread(): { buffer: symbol; callback: symbol } | null {
  const buffer = Buffer.alloc(1);
  const callback = () => true;
  const options: SocketConstructorOpts & { onread: OnReadOpts } = { onread: { buffer, callback } };
  const probe = new Socket(options) as unknown as Socket & Inside;
  const [bufferAt, ...otherBuffers] = placesOf(buffer, probe);
  const [callbackAt, ...otherCallbacks] = placesOf(callback, probe);
  probe.destroy();
  if (bufferAt === undefined || callbackAt === undefined) return null;
  if (otherBuffers.length > 0 || otherCallbacks.length > 0) return null;
  return { buffer: bufferAt, callback: callbackAt };
}

function placesOf(value: unknown, inside: Inside): symbol[] {
  return Object.getOwnPropertySymbols(inside).filter((key) => inside[key] === value);
}
