import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';

/**
 * Fails a test file that leaves a server, a connection, a child process or a database open. Each file has a process of
 * its own, so what is open at its end and was not at its beginning is its own doing. What only just closes is given time;
 * idle connections of a client pool do not count (they are unreferenced), timers neither (the runner has its own).
 */
const WATCHED = ['TCPServerWrap', 'TCPSocketWrap', 'ProcessWrap'];
const GRACE_MS = 3_000;

let before: Map<string, number>;

beforeAll(() => {
  before = openResources();
});

afterAll(async () => {
  const deadline = Date.now() + GRACE_MS;
  let left = leftOver();
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(25);
    left = leftOver();
  }
  expect(left, 'left open by this test file').toEqual([]);
});

function leftOver(): string[] {
  const left: string[] = [];
  for (const [name, count] of openResources()) {
    const extra = count - (before.get(name) ?? 0);
    if (extra > 0) left.push(`${extra} x ${name}`);
  }
  return left;
}

function openResources(): Map<string, number> {
  const open = new Map<string, number>();
  const add = (name: string) => open.set(name, (open.get(name) ?? 0) + 1);
  for (const name of process.getActiveResourcesInfo()) {
    if (WATCHED.includes(name)) add(name);
  }
  for (const file of openFiles()) {
    if (/\.(db|sqlite)(-wal|-shm)?$/.test(file)) add(`file ${file}`);
  }
  return open;
}

/** Files this process holds open; none where the system does not say (no /proc). */
function openFiles(): string[] {
  const folder = '/proc/self/fd';
  const files: string[] = [];
  for (const name of listFolder(folder)) {
    try {
      files.push(readlinkSync(`${folder}/${name}`));
    } catch {
      // Closed since it was listed.
    }
  }
  return files;
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
