import { describe, expect, it } from 'vitest';
import { createTargetHealth } from '../../../src/routing/health.js';
import { FakeClock } from '../../support/fake-clock.js';

const SETTINGS = { failures: 3, windowMs: 30_000, openMs: 60_000 };
const FAILED = { ok: false, firstByteMs: null };
const OK = { ok: true, firstByteMs: 100 };

function aHealth() {
  const clock = new FakeClock();
  return { clock, health: createTargetHealth({ clock, settings: () => SETTINGS }) };
}

describe('the breaker', () => {
  it('opens after so many failures within the window, and for that target alone', () => {
    const { health } = aHealth();
    for (const open of [false, false, true]) {
      health.record('t', FAILED);
      expect(health.isOpen('t')).toBe(open);
    }
    expect(health.retryInMs('t')).toBe(60_000);
    expect(health.tryProbe('t')).toBe(false);
    expect(health.isOpen('other')).toBe(false);
    expect(health.tryProbe('other')).toBe(true);
  });

  it('stays closed when the failures are further apart, or an answer comes between', async () => {
    const { clock, health } = aHealth();
    health.record('t', FAILED);
    health.record('t', FAILED);
    await clock.advance(30_000);
    health.record('t', FAILED);
    expect(health.isOpen('t')).toBe(false);
    health.record('t', FAILED);
    health.record('t', OK);
    health.record('t', FAILED);
    health.record('t', FAILED);
    expect(health.isOpen('t')).toBe(false);
    for (const record of [FAILED, OK, FAILED, OK, FAILED, OK]) health.record('other', record);
    expect(health.isOpen('other')).toBe(false);
  });

  it('lets one probe through when its time is over; its answer closes it', async () => {
    const { clock, health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    await clock.advance(59_999);
    expect(health.tryProbe('t')).toBe(false);
    await clock.advance(1);
    expect(health.snapshot('t').state).toBe('half-open');
    expect(health.tryProbe('t')).toBe(true);
    expect(health.tryProbe('t')).toBe(false);
    health.record('t', OK);
    expect(health.snapshot('t').state).toBe('closed');
    expect(health.tryProbe('t')).toBe(true);
    expect(health.retryInMs('t')).toBe(0);
  });

  it('opens again when the probe fails, by that one failure', async () => {
    const { clock, health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    await clock.advance(60_000);
    expect(health.tryProbe('t')).toBe(true);
    health.record('t', FAILED);
    expect(health.isOpen('t')).toBe(true);
    expect(health.retryInMs('t')).toBe(60_000);
  });

  it('gives a probe up that never reports', async () => {
    const { clock, health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    await clock.advance(60_000);
    expect(health.tryProbe('t')).toBe(true);
    await clock.advance(60_000);
    expect(health.tryProbe('t')).toBe(true);
  });

  it('is closed by a sign of life, which teaches the averages nothing', async () => {
    const { clock, health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    const { errorRate } = health.snapshot('t');
    await clock.advance(60_000);
    expect(health.tryProbe('t')).toBe(true);
    health.proofOfLife('t');
    expect(health.snapshot('t')).toMatchObject({ state: 'closed', errorRate, firstByteMs: null, underWay: 0 });
    health.record('t', FAILED);
    health.record('t', FAILED);
    expect(health.isOpen('t')).toBe(false);
    health.proofOfLife('never asked');
  });

  it('gives an abandoned probe to the next call at once, and to one alone', async () => {
    const { clock, health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    health.abandonProbe('t');
    expect(health.retryInMs('t')).toBe(60_000);
    await clock.advance(60_000);
    expect(health.tryProbe('t')).toBe(true);
    health.abandonProbe('t');
    expect(health.tryProbe('t')).toBe(true);
    expect(health.tryProbe('t')).toBe(false);
    health.record('t', FAILED);
    expect(health.retryInMs('t')).toBe(60_000);
  });
});

describe('an early probe', () => {
  it('is one at a time, and closes the breaker when it is answered', () => {
    const { health } = aHealth();
    for (let i = 0; i < 3; i += 1) health.record('t', FAILED);
    expect(health.tryProbe('t')).toBe(false);
    expect(health.tryProbe('t', true)).toBe(true);
    expect(health.tryProbe('t', true)).toBe(false);
    health.record('t', FAILED);
    expect(health.isOpen('t')).toBe(true);
    expect(health.tryProbe('t', true)).toBe(true);
    health.record('t', OK);
    expect(health.isOpen('t')).toBe(false);
  });
});

describe('what is kept', () => {
  it('ends with the 10,000 targets touched last, and those with a call under way', () => {
    const { health } = aHealth();
    health.begin('busy');
    for (const id of ['old', 'touched']) for (let i = 0; i < 3; i += 1) health.record(id, FAILED);
    for (let i = 0; i < 9_997; i += 1) health.record(`made up ${i}`, OK);
    health.record('touched', OK);
    for (let i = 0; i < 3; i += 1) health.record('touched', FAILED);
    expect(health.isOpen('old')).toBe(true);
    for (let i = 0; i < 9_998; i += 1) health.record(`made up again ${i}`, OK);
    expect(health.isOpen('old')).toBe(false);
    expect(health.isOpen('touched')).toBe(true);
    expect(health.snapshot('busy').underWay).toBe(1);
  });
});

describe('what is learned', () => {
  it('nothing is known before the first attempt', () => {
    expect(aHealth().health.snapshot('t')).toMatchObject({
      state: 'closed',
      errorRate: 0,
      firstByteMs: null,
      outputPerSecond: null,
      underWay: 0,
    });
  });

  it('the time to the first byte is a decayed average, which failures do not touch', () => {
    const { health } = aHealth();
    health.record('t', { ok: true, firstByteMs: 100 });
    expect(health.snapshot('t').firstByteMs).toBe(100);
    health.record('t', { ok: true, firstByteMs: 200 });
    expect(health.snapshot('t').firstByteMs).toBeCloseTo(120);
    health.record('t', FAILED);
    expect(health.snapshot('t').firstByteMs).toBeCloseTo(120);
    expect(health.snapshot('t').errorRate).toBeCloseTo(0.2);
    for (let i = 0; i < 50; i += 1) health.record('t', OK);
    expect(health.snapshot('t').errorRate).toBeLessThan(0.001);
  });

  it('what was learned of a target that is left aside fades, with time and attempts on others', async () => {
    const { health, clock } = aHealth();
    health.record('slow', { ok: true, firstByteMs: 800 });
    await clock.advance(60_000);
    // Nobody else was asked: nothing is known better.
    expect(health.snapshot('slow').firstByteMs).toBe(800);
    for (let i = 0; i < 60; i += 1) health.record('fast', { ok: true, firstByteMs: 10 });
    expect(health.snapshot('slow').firstByteMs).toBeCloseTo(100);
    // The others do not follow the one that finds out.
    const end = health.begin('slow');
    expect(health.snapshot('slow').firstByteMs).toBe(800);
    end();
    // What it says then counts for more than what is long past.
    health.record('slow', { ok: true, firstByteMs: 20 });
    expect(health.snapshot('slow').firstByteMs).toBeCloseTo(20 + 780 / 8);
    for (let i = 0; i < 1_000; i += 1) health.record('fast', { ok: true, firstByteMs: 10 });
    expect(health.snapshot('slow').firstByteMs).toBeCloseTo(20 + 780 / 8);
    await clock.advance(3_000);
    expect(health.snapshot('slow').firstByteMs).toBeCloseTo((20 + 780 / 8) / 2);
  });

  it('what is under way is counted once, however often its end is told', () => {
    const { health } = aHealth();
    const [first, second] = [health.begin('t'), health.begin('t')];
    expect(health.snapshot('t').underWay).toBe(2);
    first();
    first();
    expect(health.snapshot('t').underWay).toBe(1);
    second();
    expect(health.snapshot('t').underWay).toBe(0);
  });
});

it('what is known of targets that are gone is dropped, and a call under way ends all the same', () => {
  const { health } = aHealth();
  const end = health.begin('gone:m');
  health.record('gone:m', FAILED);
  health.record('stays:m', FAILED);
  health.forget((target) => target.startsWith('gone:'));
  end();
  expect(health.snapshot('gone:m')).toEqual({
    state: 'closed',
    errorRate: 0,
    firstByteMs: null,
    outputPerSecond: null,
    underWay: 0,
  });
  expect(health.snapshot('stays:m').errorRate).toBeGreaterThan(0);
});
