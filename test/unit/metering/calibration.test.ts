import { describe, expect, it } from 'vitest';
import { createCalibration } from '../../../src/metering/calibration.js';

const MODEL = { providerId: 'groq', providerModel: 'llama' };

describe('calibration', () => {
  it('is 1 until something is learned, and then per provider and model', () => {
    const calibration = createCalibration();
    expect(calibration.factor(MODEL)).toBe(1);
    calibration.learn(MODEL, 1_000, 1_200);
    expect(calibration.factor(MODEL)).toBeCloseTo(1.2);
    expect(calibration.factor({ ...MODEL, providerId: 'other' })).toBe(1);
  });

  it('settles on the true factor when it learns from its own corrected counts', () => {
    const calibration = createCalibration();
    const ours = 1_000;
    for (let nth = 0; nth < 200; nth += 1) {
      calibration.learn(MODEL, ours * calibration.factor(MODEL), ours * (nth % 2 === 0 ? 1.25 : 1.35));
    }
    expect(calibration.factor(MODEL)).toBeCloseTo(1.3, 1);
  });

  it('follows a model that changes, however long it was another', () => {
    const calibration = createCalibration();
    for (let nth = 0; nth < 1_000; nth += 1) calibration.learn(MODEL, 100 * calibration.factor(MODEL), 100);
    for (let nth = 0; nth < 300; nth += 1) calibration.learn(MODEL, 100 * calibration.factor(MODEL), 150);
    expect(calibration.factor(MODEL)).toBeCloseTo(1.5, 1);
  });

  it('learns nothing from tiny or absurd figures', () => {
    const calibration = createCalibration();
    calibration.learn(MODEL, 5, 31);
    calibration.learn(MODEL, 100, 100_000);
    calibration.learn(MODEL, 0, 0);
    expect(calibration.factor(MODEL)).toBe(1);
  });

  it('is kept over a restart', () => {
    const before = createCalibration();
    before.learn(MODEL, 100, 130);
    const after = createCalibration({ initial: before.entries() });
    expect(after.factor(MODEL)).toBeCloseTo(1.3);
    expect(after.entries()).toEqual(before.entries());
  });

  it('remembers so many models at most, and the latest of them', () => {
    const calibration = createCalibration();
    for (let nth = 0; nth < 3_000; nth += 1) calibration.learn({ providerId: 'p', providerModel: `m${nth}` }, 100, 130);
    expect(calibration.entries()).toHaveLength(2_000);
    expect(calibration.factor({ providerId: 'p', providerModel: 'm2999' })).toBeCloseTo(1.3);
    expect(calibration.factor({ providerId: 'p', providerModel: 'm0' })).toBe(1);
  });
});
