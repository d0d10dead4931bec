import { UserError } from '../domain/errors.js';

export interface SandboxOptions {
  /** 0: any free one. */
  port: number;
  host: string;
}

/** What the command needs of the program around it. */
export interface SandboxIo {
  /** One line to standard output. */
  print(line: string): void;
  /** Aborts when the program is told to stop. */
  signal: AbortSignal;
  startSandbox(options: SandboxOptions): Promise<{ url: string; port: number; close(): Promise<void> }>;
}

/**
 * `waybill sandbox`: runs the bundled upstream by itself until it is told to stop.
 *
 * @returns the exit code
 * @throws UserError when it cannot listen
 */
export async function sandboxCommand(options: SandboxOptions, io: SandboxIo): Promise<number> {
  const sandbox = await io.startSandbox(options).catch((cause: unknown) => {
    throw new UserError(listenMessage(options, cause), { cause });
  });
  io.print(`Sandbox upstream on ${sandbox.url}`);
  io.print(`Base URL for OpenAI clients: ${sandbox.url}/v1 (models sandbox-small, sandbox-embed; any key)`);
  io.print(`What it was asked: curl ${sandbox.url}/__stats`);
  if (!io.signal.aborted) {
    await new Promise<void>((resolve) => io.signal.addEventListener('abort', () => resolve(), { once: true }));
  }
  await sandbox.close();
  return 0;
}

function listenMessage({ host, port }: SandboxOptions, cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | null)?.code;
  if (code === 'EADDRINUSE') return `Port ${port} on ${host} is in use; choose another with --port.`;
  if (code === 'EACCES') return `Port ${port} on ${host} is not allowed for this user; choose one above 1023.`;
  return `The sandbox cannot listen on ${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}`;
}
