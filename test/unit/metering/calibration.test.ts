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

  it('averages the output of answers per model, later ones as much as earlier ones in the long run', () => {
    const calibration = createCalibration();
    expect(calibration.averageOutput(MODEL)).toBeNull();
    calibration.learnOutput(MODEL, 100);
    calibration.learnOutput(MODEL, 300);
    expect(calibration.averageOutput(MODEL)).toBe(200);
    expect(calibration.averageOutput({ ...MODEL, providerModel: 'other' })).toBeNull();
    for (let nth = 0; nth < 500; nth += 1) calibration.learnOutput(MODEL, 1_000);
    expect(calibration.averageOutput(MODEL)).toBeCloseTo(1_000, 0);
    expect(calibration.factor(MODEL)).toBe(1);
  });

  it('gives out what is new, once, and again where it could not be kept', () => {
    const calibration = createCalibration();
    expect(calibration.takeChanges()).toEqual({ models: [], errors: [] });
    calibration.learn(MODEL, 100, 130);
    calibration.noteError(MODEL, { estimated: 100, reported: 125, now: 7_200_000 });
    calibration.noteError(MODEL, { estimated: 150, reported: 125, now: 7_200_001 });
    const changes = calibration.takeChanges();
    expect(changes.models).toMatchObject([{ ...MODEL, weight: 1, averageOutput: null }]);
    expect(changes.errors).toEqual([{ ...MODEL, hour: 2, perMille: 200, calls: 2 }]);
    expect(calibration.takeChanges()).toEqual({ models: [], errors: [] });
    calibration.putBack(changes);
    calibration.noteError(MODEL, { estimated: 100, reported: 125, now: 7_200_002 });
    expect(calibration.takeChanges()).toMatchObject({
      models: changes.models,
      errors: [{ hour: 2, perMille: 200, calls: 3 }],
    });
  });

  it('gives out again what it learns of a model that it has given out', () => {
    const calibration = createCalibration();
    calibration.learnOutput(MODEL, 100);
    calibration.learnOutput(MODEL, 100);
    expect(calibration.takeChanges().models).toMatchObject([{ outputs: 2 }]);
    calibration.learnOutput(MODEL, 100);
    expect(calibration.takeChanges().models).toMatchObject([{ outputs: 3 }]);
  });

  it('keeps apart what models have the name of, and what providers', () => {
    const calibration = createCalibration();
    const others = [MODEL, { ...MODEL, providerModel: 'other' }, { ...MODEL, providerId: 'other' }];
    for (const [nth, model] of [...others.entries(), ...others.entries()]) calibration.learnOutput(model, nth + 1);
    expect(others.map((model) => calibration.averageOutput(model))).toEqual([1, 2, 3]);
    expect(calibration.entries().map(({ outputs }) => outputs)).toEqual([2, 2, 2]);
  });

  it.each([
    [1_000, 1_000, 0],
    [1_001, 1_000, 1],
    [900, 1_000, 100],
    [886, 1_000, 110],
    [1_994, 1_000, 990],
    [3_040, 1_000, 2_000],
    [999_999, 1, 10_000],
  ])('counts an estimate of %i for %i as off by %i thousandths', (estimated, reported, perMille) => {
    const calibration = createCalibration();
    calibration.noteError(MODEL, { estimated, reported, now: 0 });
    expect(calibration.takeChanges().errors).toMatchObject([{ perMille }]);
  });
});
