/**
 * The load, a process of its own: so many keep-alive connections, each asking again as soon as it has its answer. It
 * reads just enough HTTP to find an answer's end, so that it costs a fraction of what it measures.
 */
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';

export interface LoadOrder {
  port: number;
  path: string;
  body: string;
  concurrency: number;
  /** Sent beside the usual ones. */
  headers?: Readonly<Record<string, string>>;
  /** The first requests are spread over so long, so that streams do not all begin and end at once. */
  spreadMs?: number;
  /** Each connection asks once and keeps its answer open; all are dropped so long after the last has its first byte. */
  holdMs?: number;
  /** Ends after this long, or after so many requests, whichever is given; what is under way is waited for. */
  durationMs: number | null;
  requests: number | null;
}

export interface LoadResult {
  requests: number;
  /** SSE events, counted by their blank lines. */
  chunks: number;
  bytes: number;
  errors: number;
  /** The first answer that was no 200, or the first broken connection. */
  firstError: string | null;
  elapsedMs: number;
  latencyMs: Percentiles;
  /** Until the first byte of the body. */
  firstByteMs: Percentiles;
  /** CPU this process used meanwhile, to show that it was not the bottleneck. */
  cpuMicros: number;
}

export interface Percentiles {
  p50: number;
  p99: number;
}

const LINE_END = 10;
const CHUNKED_END = '0\r\n\r\n';
/** Streams that are opened at once, of those that are kept open. */
const HOLD_LANES = 32;
/** An answer that takes longer is a hang, and ends the run. */
const STALL_MS = 60_000;

export class Load {
  readonly #order: LoadOrder;
  readonly #request: Buffer;
  readonly #startedAt = performance.now();
  readonly #latencies: number[] = [];
  readonly #firstBytes: number[] = [];
  #begun = 0;
  #chunks = 0;
  #bytes = 0;
  #errors = 0;
  #firstError: string | null = null;

  constructor(order: LoadOrder) {
    this.#order = order;
    const others = Object.entries(order.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#request = Buffer.from(
      `POST ${order.path} HTTP/1.1\r\nhost: 127.0.0.1:${order.port}\r\nauthorization: Bearer bench-client-key\r\n` +
        `content-type: application/json\r\n${others.join('')}content-length: ${Buffer.byteLength(order.body)}\r\n\r\n${order.body}`,
    );
  }

  async run(): Promise<LoadResult> {
    const cpu = process.cpuUsage();
    const { concurrency, holdMs, spreadMs = 0 } = this.#order;
    if (holdMs !== undefined) await this.#hold(holdMs);
    else {
      const begin = async (_: unknown, index: number) => {
        if (spreadMs > 0) await setTimeout((index * spreadMs) / concurrency);
        await this.#connection();
      };
      await Promise.all(Array.from({ length: concurrency }, begin));
    }
    const used = process.cpuUsage(cpu);
    return {
      requests: this.#latencies.length,
      chunks: this.#chunks,
      bytes: this.#bytes,
      errors: this.#errors,
      firstError: this.#firstError,
      elapsedMs: performance.now() - this.#startedAt,
      latencyMs: percentiles(this.#latencies),
      firstByteMs: percentiles(this.#firstBytes),
      cpuMicros: used.user + used.system,
    };
  }

  /** Opens streams a few at a time, and keeps them. */
  async #hold(holdMs: number): Promise<void> {
    const sockets: Socket[] = [];
    const lane = async () => {
      while (this.#begun < this.#order.concurrency && this.#errors === 0) {
        this.#begun += 1;
        sockets.push(await this.#opened());
      }
    };
    await Promise.all(Array.from({ length: HOLD_LANES }, lane));
    await setTimeout(holdMs);
    for (const socket of sockets) {
      if (socket.destroyed) this.#fail('a connection that was kept open closed');
      socket.destroy();
    }
  }

  /** A connection whose answer has begun. */
  #opened(): Promise<Socket> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.#order.port, host: '127.0.0.1', noDelay: true });
      const exchange = new Exchange(socket);
      socket.on('connect', () => {
        exchange.begin();
        socket.write(this.#request);
      });
      socket.on('data', (data: Buffer) => {
        exchange.take(data);
        if (exchange.firstByteAt === 0) return;
        exchange.endedAt = exchange.firstByteAt;
        socket.removeAllListeners('data').resume();
        this.#note(exchange);
        resolve(socket);
      });
      socket.on('error', (error) => {
        this.#fail(error.message);
        resolve(socket);
      });
    });
  }

  #wantsMore(): boolean {
    if (this.#errors > 20) return false;
    const { durationMs, requests } = this.#order;
    if (requests !== null) return this.#begun < requests;
    return performance.now() - this.#startedAt < (durationMs as number);
  }

  /** One connection's life: asks until enough is asked. Opens a new one when the server closes it. */
  async #connection(): Promise<void> {
    while (this.#wantsMore()) {
      await new Promise<void>((resolve) => {
        const socket = connect({ port: this.#order.port, host: '127.0.0.1', noDelay: true });
        const exchange = new Exchange(socket);
        let busy = false;
        const ask = () => {
          if (!this.#wantsMore()) {
            socket.destroy();
            return;
          }
          this.#begun += 1;
          busy = true;
          exchange.begin();
          socket.write(this.#request);
        };
        socket.setTimeout(STALL_MS, () => socket.destroy(new Error(`no answer within ${STALL_MS / 1000} s`)));
        socket.on('connect', ask);
        socket.on('data', (data: Buffer) => {
          this.#bytes += data.length;
          if (!exchange.take(data)) return;
          busy = false;
          this.#note(exchange);
          ask();
        });
        socket.on('error', (error) => this.#fail(error.message));
        socket.on('close', () => {
          if (busy) this.#fail('the connection closed before the answer ended');
          resolve();
        });
      });
    }
  }

  #note(exchange: Exchange): void {
    if (exchange.status !== 200) {
      this.#fail(`${exchange.status}: ${exchange.text()}`);
      return;
    }
    this.#latencies.push(exchange.endedAt - exchange.begunAt);
    this.#firstBytes.push(exchange.firstByteAt - exchange.begunAt);
    this.#chunks += exchange.events;
  }

  #fail(message: string): void {
    this.#errors += 1;
    this.#firstError ??= message;
  }
}

/** One answer as its bytes come in. */
class Exchange {
  readonly #socket: Socket;
  status = 0;
  begunAt = 0;
  firstByteAt = 0;
  endedAt = 0;
  events = 0;
  /** Header bytes until they are whole; null afterwards. */
  #head: Buffer | null = null;
  #expected: number | null = null;
  #received = 0;
  #tail = '';
  #sample = '';

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  begin(): void {
    this.begunAt = performance.now();
    this.firstByteAt = 0;
    this.events = 0;
    this.#head = Buffer.alloc(0);
    this.#expected = null;
    this.#received = 0;
    this.#tail = '';
  }

  text(): string {
    return this.#sample;
  }

  /** True when the answer is whole. */
  take(data: Buffer): boolean {
    let body = data;
    if (this.#head !== null) {
      const whole = this.#head.length === 0 ? data : Buffer.concat([this.#head, data]);
      const end = whole.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#head = whole;
        return false;
      }
      this.#readHead(whole.toString('latin1', 0, end));
      this.#head = null;
      body = whole.subarray(end + 4);
    }
    if (body.length > 0 && this.firstByteAt === 0) this.firstByteAt = performance.now();
    if (this.status !== 200) this.#sample = body.toString('utf8', 0, 300);
    this.#received += body.length;
    const isWhole = this.#expected === null ? this.#takeChunked(body) : this.#received >= this.#expected;
    if (isWhole) this.endedAt = performance.now();
    return isWhole;
  }

  #readHead(head: string): void {
    this.status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    this.#expected = length === null ? null : Number(length[1]);
    if (/\r\nconnection: *close/i.test(head)) this.#socket.end();
  }

  #takeChunked(body: Buffer): boolean {
    let before = this.#tail.endsWith('\n') ? LINE_END : 0;
    for (let at = body.indexOf(LINE_END); at >= 0; at = body.indexOf(LINE_END, at + 1)) {
      const previous = at === 0 ? before : (body[at - 1] as number);
      if (previous === LINE_END) this.events += 1;
      before = 0;
    }
    this.#tail = (this.#tail + body.toString('latin1', Math.max(0, body.length - 5))).slice(-5);
    return this.#tail === CHUNKED_END;
  }
}

function percentiles(values: number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

process.on('message', (order: LoadOrder) => {
  void new Load(order).run().then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
