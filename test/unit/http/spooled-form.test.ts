import { describe, expect, it } from 'vitest';
import type { FormStep } from '../../../src/domain/task.js';
import { SpooledForm } from '../../../src/http/spooled-form.js';

/** What is kept of a form, and until when it can be sent again. */

const bytes = (length: number): FormStep => ({ kind: 'bytes', bytes: Buffer.alloc(length, 1) });
const head: FormStep[] = [
  { kind: 'field', name: 'model', value: 'm' },
  { kind: 'file', name: 'file', filename: 'a', contentType: 'audio/wav' },
];

function spooled(steps: readonly FormStep[], keptBytes: number) {
  let pulled = 0;
  const source = (async function* () {
    for (const step of steps) {
      pulled += 1;
      yield step;
    }
  })();
  const form = new SpooledForm({ boundary: 'b', source, keptBytes, mostBytes: 1_000 });
  return { form, pulled: () => pulled };
}

async function all(form: SpooledForm): Promise<FormStep[]> {
  const steps: FormStep[] = [];
  for await (const step of form.read()) steps.push(step);
  return steps;
}

describe('a form that comes', () => {
  const steps = [...head, bytes(50), bytes(50), bytes(50)];

  it('is read no further than its first file before it is sent', async () => {
    const { form, pulled } = spooled(steps, 1_000);
    expect(await form.head()).toEqual(head);
    expect(pulled()).toBe(2);
    expect(form.whole).toBeNull();
  });

  it('is read again from its beginning, while all of it is kept', async () => {
    const { form } = spooled(steps, 1_000);
    expect(await all(form)).toEqual(steps);
    expect(form.isSpent).toBe(false);
    expect(await all(form)).toEqual(steps);
    expect(form.whole).toEqual(steps);
  });

  it('is read on by the next reader where the last one stopped', async () => {
    const { form, pulled } = spooled(steps, 1_000);
    const first = form.read();
    for (let count = 0; count < 3; count += 1) await first.next();
    await first.return(undefined);
    expect(pulled()).toBe(3);
    expect(await all(form)).toEqual(steps);
  });

  it('loses nothing to a reader that was left waiting', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const source = (async function* () {
      yield* head;
      await gate;
      yield bytes(10);
    })();
    const form = new SpooledForm({ boundary: 'b', source, keptBytes: 1_000, mostBytes: 1_000 });
    const left = form.read();
    await left.next();
    await left.next();
    const waiting = left.next();
    const second = all(form);
    release();
    expect(await second).toEqual([...head, bytes(10)]);
    expect(await waiting).toEqual({ value: bytes(10), done: false });
  });

  it('is spent once a part of it went that is not kept', async () => {
    const { form } = spooled(steps, 99);
    const reader = form.read();
    for (let count = 0; count < 4; count += 1) await reader.next();
    expect(form.isSpent).toBe(false);
    await reader.next();
    expect(form.isSpent).toBe(true);
    expect(form.whole).toBeNull();
    await expect(form.read().next()).rejects.toThrow(/cannot be read again/);
  });

  it('is kept whole, whatever its size, where it is read whole', async () => {
    const { form } = spooled(steps, 10);
    expect(await form.readWhole()).toEqual(steps);
    expect(await all(form)).toEqual(steps);
    expect(form.isSpent).toBe(false);
  });

  it('says how large its file can be at most until it is sent, and then how large it is', async () => {
    const { form } = spooled(steps, 10);
    await form.head();
    expect(form.fileBytes()).toBe(1_000);
    await all(form);
    expect(form.fileBytes()).toBe(150);
  });
});
