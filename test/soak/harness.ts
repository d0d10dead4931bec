import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CLIENT_KEY, type Daemon } from '../support/daemon.js';
import type { Ask, Log, Schedule } from './script.js';

const CHILD = fileURLToPath(new URL('./upstream-child.ts', import.meta.url));

/** Longer runs: `WAYBILL_SOAK_SECONDS=300 npx vitest run test/soak`. */
export function soakSeconds(usual: number): number {
  return Number(process.env['WAYBILL_SOAK_SECONDS'] ?? usual);
}

export interface SoakUpstream {
  /** Providers are told apart by their path: `${url}/p3`. */
  url: string;
  log(): Promise<Log[]>;
  stop(): Promise<void>;
}

/** The upstream in a process of its own. */
export async function startSoakUpstream(schedule: Schedule | null = null): Promise<SoakUpstream> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', CHILD, JSON.stringify(schedule)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  if (child.stdout === null) throw new Error('no output of the upstream');
  const lines = createInterface(child.stdout);
  const [port] = (await once(lines, 'line')) as [string];
  lines.close();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    log: async () => (await (await fetch(`${url}/log`, { headers: { connection: 'close' } })).json()) as Log[],
    async stop() {
      child.stdin?.end();
      await closed;
    },
  };
}

export interface Outcome {
  id: string;
  status: number;
  startedAt: number;
  endedAt: number;
  /** Of an error answer. */
  code: string | null;
  text: string;
  inferenceId: string | null;
  provider: string | null;
  /** True when the answer broke off. */
  isBroken: boolean;
}

/** One chat request whose `user` field tells the upstream what to do. */
export async function chat(
  daemon: Daemon,
  ask: Ask,
  rest: { body?: object; key?: string; signal?: AbortSignal } = {},
): Promise<Outcome> {
  const startedAt = Date.now();
  const outcome: Outcome = {
    id: ask.id,
    status: 0,
    startedAt,
    endedAt: 0,
    code: null,
    text: '',
    inferenceId: null,
    provider: null,
    isBroken: false,
  };
  try {
    const response = await fetch(`${daemon.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${rest.key ?? CLIENT_KEY}` },
      body: JSON.stringify({
        model: 'm',
        messages: [{ role: 'user', content: 'How many?' }],
        user: JSON.stringify(ask),
        ...rest.body,
      }),
      ...(rest.signal === undefined ? {} : { signal: rest.signal }),
    });
    outcome.status = response.status;
    outcome.inferenceId = response.headers.get('inference-id');
    outcome.provider = response.headers.get('x-waybill-provider');
    outcome.text = await response.text();
    if (response.status !== 200) outcome.code = (JSON.parse(outcome.text) as { error: { code: string } }).error.code;
  } catch {
    outcome.isBroken = true;
  }
  outcome.endedAt = Date.now();
  return outcome;
}
