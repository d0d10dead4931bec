import { describe, expect, it } from 'vitest';
import { sandboxCommand } from '../../../src/commands/sandbox.js';
import { UserError } from '../../../src/domain/errors.js';
import { startSandbox } from '../../../src/providers/sandbox/server.js';

describe('waybill sandbox', () => {
  it('prints a URL that answers, and ends with exit code 0 when told to stop', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const io = { print: (line: string) => lines.push(line), signal: stop.signal, startSandbox };
    const ended = sandboxCommand({ port: 0, host: '127.0.0.1' }, io);
    await expect.poll(() => lines.length).toBeGreaterThan(0);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(lines[0] ?? '')?.[0] ?? '';
    expect(await fetch(`${url}/v1/models`).then((response) => response.json())).toMatchObject({ object: 'list' });
    stop.abort();
    expect(await ended).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  it('says in one line that its port is taken', async () => {
    const other = await startSandbox();
    const io = { print: () => {}, signal: new AbortController().signal, startSandbox };
    const failure = await sandboxCommand({ port: other.port, host: '127.0.0.1' }, io).catch((error: unknown) => error);
    await other.close();
    expect(failure).toBeInstanceOf(UserError);
    expect((failure as UserError).message).toBe(
      `Port ${other.port} on 127.0.0.1 is in use; choose another with --port.`,
    );
  });
});
