import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadOrder, LoadResult } from './load.js';
import type { Subject } from './measure.js';
import { MODELS } from './scenarios.js';

/** A process the bench started and can look at from outside. */
export interface Started {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

const READY_MS = 30_000;
const STOP_MS = 10_000;
/** A run that takes this much longer than asked hangs. */
const RUN_MS = 600_000;
/** What `/proc` counts CPU in; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export async function startScript(name: 'upstream' | 'bare-proxy', args: readonly string[]): Promise<Started> {
  const child = forkScript(name, args);
  const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(READY_MS) })) as [{ port: number }];
  return { pid: child.pid as number, port: message.port, stop: () => stopChild(child) };
}

export interface LoadGenerator {
  run(order: LoadOrder): Promise<LoadResult>;
  stop(): Promise<void>;
}

export async function startLoad(): Promise<LoadGenerator> {
  const child = forkScript('load', []);
  await once(child, 'message', { signal: AbortSignal.timeout(READY_MS) });
  return {
    async run(order) {
      const signal = AbortSignal.timeout((order.durationMs ?? 0) + RUN_MS);
      const answer = once(child, 'message', { signal });
      child.send(order);
      const [result] = (await answer) as [LoadResult];
      return result;
    },
    stop: () => stopChild(child),
  };
}

export interface WaybillOptions {
  upstreamPort: number;
  /** It leaves a CPU profile there when it stops. */
  profileDirectory?: string | null;
  /** A ledger that is there already; a new one otherwise. */
  ledger?: string;
  /** Clients, provider keys, and models: a handful, or thousands. */
  size?: 'small' | 'large';
  /** How often to look whether it is ready. */
  lookEveryMs?: number;
}

/** Waybill as it is deployed: the built program, one process, everything on, its log to /dev/null. */
export async function startWaybill(options: WaybillOptions): Promise<Started> {
  const { upstreamPort, profileDirectory = null, size = 'small', lookEveryMs = 50 } = options;
  const directory = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  const port = await freePort();
  const config = join(directory, 'config.yaml');
  const ledger = options.ledger ?? join(directory, 'waybill.db');
  writeFileSync(config, JSON.stringify(waybillConfig({ port, upstreamPort, ledger, size }), null, 2));
  const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
  const errors = join(directory, 'stderr');
  const profiling = profileDirectory === null ? [] : ['--cpu-prof', '--cpu-prof-dir', resolve(profileDirectory)];
  const child = spawn(process.execPath, [...profiling, cli, 'serve', '--config', config], {
    stdio: ['ignore', 'ignore', openSync(errors, 'w')],
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: 'production' },
  });
  const stop = async () => {
    await stopChild(child);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await untilReady(child, port, lookEveryMs);
  } catch (error) {
    const said = readFileSync(errors, 'utf8');
    await stop();
    throw new Error(`${(error as Error).message}\n${said}`);
  }
  return { pid: child.pid as number, port, stop };
}

/**
 * The gateway of `@portkey-ai/gateway`, from a folder where it was installed with its own locked dependencies. It is told
 * with every request where to go, and keeps nothing.
 */
export async function startPortkey(folder: string, upstreamPort: number): Promise<Subject & Started> {
  const script = resolve(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const port = await freePort();
  const child = spawn(process.execPath, [script, `--port=${port}`, '--headless'], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: 'production' },
  });
  await untilReady(child, port, 50, '/');
  const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1` };
  return { name: 'portkey', pid: child.pid as number, port, headers, stop: () => stopChild(child) };
}

const LARGE = { clients: 1_000, keys: 1_000, models: 10_000 };

/** Limits far above what is asked: every request is counted against each of them, none waits. */
function waybillConfig(options: {
  port: number;
  upstreamPort: number;
  ledger: string;
  size: 'small' | 'large';
}): object {
  const others = options.size === 'large' ? LARGE : { clients: 0, keys: 0, models: 0 };
  const numbered = <T>(count: number, make: (index: number) => T) => Array.from({ length: count }, (_, at) => make(at));
  const limits = { req_per_min: 100_000_000, tokens_per_min: 1_000_000_000_000, concurrency: 100_000 };
  return {
    version: '1.0',
    server: { listen: `127.0.0.1:${options.port}`, admin_api_key: 'bench-admin-key' },
    logging: { level: 'info', format: 'json', prometheus: { enabled: true } },
    storage: { ledger: { type: 'sqlite', path: options.ledger, durability: 'process' } },
    llm_providers: [
      {
        id: 'bench',
        type: 'openai_compatible',
        api_keys: ['bench-provider-key', ...numbered(others.keys, (at) => `bench-provider-key-${at}`)],
        base_url: `http://127.0.0.1:${options.upstreamPort}/v1`,
        models: [
          ...numbered(others.models, (at) => ({ id: `other-${at}`, tasks: ['chat'] })),
          ...Object.values(MODELS).map((id) => ({ id, tasks: [id === MODELS.embeddings ? 'embedding' : 'chat'] })),
        ],
        pricing: { input_token_cost: '0.0000002', output_token_cost: '0.0000006' },
        limits,
      },
    ],
    api_keys: [
      ...numbered(others.clients, (at) => ({ id: `client-${at}`, key: `other-client-key-${at}`, limits })),
      { id: 'bench', key: 'bench-client-key', limits },
    ],
    model_aliases: Object.fromEntries(numbered(others.models, (at) => [`alias-${at}`, `bench:other-${at}`])),
  };
}

/** User and system CPU of a process and all its threads so far, in microseconds, as the kernel counted it. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may hold spaces; user and system time are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS_PER_SECOND;
}

/** Resident memory in bytes. */
export function rssBytes(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) * 1024;
}

function forkScript(name: string, args: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  return fork(script, [...args], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const hasten = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(hasten);
}

/** Ready: the path answers at all or, where none is given, says that everything is. */
async function untilReady(
  child: ChildProcess,
  port: number,
  lookEveryMs: number,
  path = '/health/ready',
): Promise<void> {
  const end = Date.now() + READY_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the program ended with exit code ${child.exitCode}`);
    try {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(1000) });
      await answer.arrayBuffer();
      if (answer.ok) return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`the program was not ready within ${READY_MS / 1000} s`, { cause: error });
    }
    if (Date.now() > end) throw new Error(`the program was not ready within ${READY_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
