import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const START_MS = 20_000;
const STOP_MS = 15_000;

export const ADMIN_KEY = 'test-admin-key';
export const CLIENT_KEY = 'test-client-key';

export interface DaemonOptions {
  /** As in the YAML file. What is left out: a free loopback port, `ADMIN_KEY`, one client with `CLIENT_KEY`, a ledger. */
  config: { [key: string]: unknown };
  env?: Record<string, string>;
  /** What follows `serve --config FILE`. */
  args?: (port: number) => readonly string[];
}

/** What `POST /config/reload` answered. */
export interface ReloadAnswer {
  status: number;
  body: {
    reloaded: boolean;
    generation?: number;
    errors?: Array<{ path: string; line: number; message: string }>;
    warnings?: Array<{ path: string; line: number; message: string }>;
  };
}

export interface Daemon {
  /** Without a trailing slash. */
  readonly url: string;
  readonly pid: number;
  /** Holds config.yaml and the ledger `waybill.db`; removed by stop(). */
  readonly dir: string;
  readonly configFile: string;
  readonly ledgerFile: string;
  /** Everything it printed so far, both streams. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  waitForExit(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Starts it again after it ended, in the same folder on the same port. */
  restart(): Promise<void>;
  /** A request with the client's key. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** JSON of `/api/admin/v1` + path. */
  admin<T>(path: string): Promise<T>;
  /** Writes another config file, in place, with the same defaults; a text is written as it is. */
  configure(config: { [key: string]: unknown } | string): void;
  reload(): Promise<ReloadAnswer>;
  /** SIGTERM, SIGKILL if that does not help, and no trace left. */
  stop(): Promise<void>;
}

/**
 * Runs the built daemon as its users do: `node dist/cli.js serve --config FILE`, in a folder of its own.
 *
 * @throws when the build failed, or when it does not become ready (with what it printed)
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const failure = inject('buildFailure');
  if (failure !== '') throw new Error(failure);
  const dir = await mkdtemp(join(tmpdir(), 'waybill-test-'));
  const port = await freePort();
  const daemon = new TestDaemon({ dir, port, env: options.env ?? {}, args: options.args?.(port) ?? [] });
  try {
    daemon.configure(options.config);
    await daemon.launch();
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  return daemon;
}

class TestDaemon implements Daemon {
  readonly url: string;
  readonly dir: string;
  readonly #port: number;
  readonly #env: Record<string, string>;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }> = Promise.resolve({
    code: null,
    signal: null,
  });
  #output = '';

  constructor(parts: { dir: string; port: number; env: Record<string, string>; args: readonly string[] }) {
    this.dir = parts.dir;
    this.url = `http://127.0.0.1:${parts.port}`;
    this.#port = parts.port;
    this.#env = parts.env;
    this.#args = parts.args;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  get configFile(): string {
    return join(this.dir, 'config.yaml');
  }

  get ledgerFile(): string {
    return join(this.dir, 'waybill.db');
  }

  async launch(): Promise<void> {
    const child = spawn(process.execPath, [CLI, 'serve', '--config', this.configFile, ...this.#args], {
      cwd: this.dir,
      // Nothing of the developer's own environment: no keys, no PORT.
      env: { PATH: process.env['PATH'] ?? '', HOME: this.dir, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#exit = once(child, 'close').then(([code, signal]) => ({ code, signal }));
    child.stdout.on('data', (part) => {
      this.#output += part;
    });
    child.stderr.on('data', (part) => {
      this.#output += part;
    });
    await this.#waitUntilReady(child);
  }

  async #waitUntilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      const status = await fetch(`${this.url}/health/ready`)
        .then(async (response) => {
          await response.arrayBuffer();
          return response.status;
        })
        // Not listening yet.
        .catch(() => null);
      if (status === 200) return;
      await sleep(25);
    }
    throw new Error(`the daemon is not ready; it printed:\n${this.#output}`);
  }

  output(): string {
    return this.#output;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  waitForExit(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.#exit;
  }

  async restart(): Promise<void> {
    await this.#exit;
    await this.launch();
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${CLIENT_KEY}`, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  async admin<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}/api/admin/v1${path}`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  configure(config: { [key: string]: unknown } | string): void {
    const text =
      typeof config === 'string' ? config : JSON.stringify(withDefaults(config, this.#port, this.ledgerFile), null, 2);
    writeFileSync(this.configFile, text);
  }

  async reload(): Promise<ReloadAnswer> {
    const response = await fetch(`${this.url}/api/admin/v1/config/reload`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    return { status: response.status, body: (await response.json()) as ReloadAnswer['body'] };
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const ended = await Promise.race([this.#exit, sleep(STOP_MS, null, { ref: false })]);
      if (ended === null) child.kill('SIGKILL');
      await this.#exit;
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}

function withDefaults(config: { [key: string]: unknown }, port: number, ledgerFile: string): object {
  return {
    version: '1.0',
    logging: { level: 'warn' },
    storage: { ledger: { type: 'sqlite', path: ledgerFile } },
    api_keys: [{ id: 'tester', key: CLIENT_KEY }],
    ...config,
    server: { listen: `127.0.0.1:${port}`, admin_api_key: ADMIN_KEY, ...(config['server'] as object | undefined) },
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
