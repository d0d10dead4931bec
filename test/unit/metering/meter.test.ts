import { describe, expect, it } from 'vitest';
import type { CountedInput, MeterSubject } from '../../../src/domain/metering.js';
import { noCounts, type UsageCounts } from '../../../src/domain/usage.js';
import { createCalibration } from '../../../src/metering/calibration.js';
import { createMeter } from '../../../src/metering/meter.js';
import { silentLogger } from '../../conformance/silent-logger.js';
import { FakeClock } from '../../support/fake-clock.js';

const CHAT: MeterSubject = { providerId: 'groq', providerModel: 'llama-3.1-8b-instant', task: 'chat' };
const EMBEDDING: MeterSubject = { ...CHAT, task: 'embedding' };

function anInput(overrides: Partial<CountedInput> = {}): CountedInput {
  return { texts: ['user', 'hello world'], tokens: 0, messages: 1, ...overrides };
}

function aReport(counts: Partial<UsageCounts>) {
  return { counts: { ...noCounts(), ...counts }, providerCostUsd: null, problems: [] };
}

function untouched(): never {
  throw new Error('counted although the provider had said');
}

/** Loads an encoding once for all tests. */
const meter = createMeter();

describe('measuring', () => {
  it("takes the provider's figures as they are and counts nothing", () => {
    const report = aReport({ input: 0, cachedInput: 12, output: 0, reasoning: 5 });
    const usage = meter.measure({
      subject: CHAT,
      report,
      input: untouched,
      outputTexts: untouched,
      interrupted: false,
    });
    expect(usage).toEqual({ counts: report.counts, source: 'reported' });
  });

  it('needs no output of an embedding', () => {
    const usage = meter.measure({
      subject: EMBEDDING,
      report: aReport({ input: 8 }),
      input: untouched,
      outputTexts: untouched,
      interrupted: false,
    });
    expect(usage.source).toBe('reported');
    expect(usage.counts.output).toBeNull();
  });

  it('counts everything where nothing was reported', () => {
    const usage = meter.measure({
      subject: CHAT,
      report: null,
      input: () => anInput(),
      outputTexts: () => ['hello world'],
      interrupted: false,
    });
    expect(usage.source).toBe('estimated');
    expect(usage.counts).toEqual({ ...noCounts(), input: 1 + 2 + 3 + 3, output: 2 });
  });

  it('counts what is missing beside what was reported, and calls the whole estimated', () => {
    const usage = meter.measure({
      subject: CHAT,
      report: aReport({ input: 100 }),
      input: untouched,
      outputTexts: () => ['hello world'],
      interrupted: false,
    });
    expect(usage).toEqual({ counts: { ...noCounts(), input: 100, output: 2 }, source: 'estimated' });
  });

  it('counts an embedding without figures by its input alone', () => {
    const usage = meter.measure({
      subject: EMBEDDING,
      report: aReport({}),
      input: () => anInput({ texts: ['hello world'], tokens: 5, messages: 0 }),
      outputTexts: untouched,
      interrupted: false,
    });
    expect(usage).toEqual({ counts: { ...noCounts(), input: 7 }, source: 'estimated' });
  });

  it('calls a broken stream a lower bound: input reported or counted, and the output seen', () => {
    const measure = (report: ReturnType<typeof aReport> | null) =>
      meter.measure({
        subject: CHAT,
        report,
        input: () => anInput(),
        outputTexts: () => ['hello'],
        interrupted: true,
      });
    expect(measure(null)).toMatchObject({ counts: { input: 9, output: 1 }, source: 'lower-bound' });
    expect(measure(aReport({ input: 50 }))).toMatchObject({ counts: { input: 50, output: 1 }, source: 'lower-bound' });
    expect(measure(aReport({ input: 50, output: 70 }))).toMatchObject({
      counts: { input: 50, output: 70 },
      source: 'lower-bound',
    });
  });

  it('says 0 of a stream that broke before any output', () => {
    const usage = meter.measure({
      subject: CHAT,
      report: null,
      input: () => anInput(),
      outputTexts: () => [],
      interrupted: true,
    });
    expect(usage.counts.output).toBe(0);
  });
});

describe('counting an input', () => {
  it("agrees with OpenAI's own example of a framed conversation", () => {
    // Source: OpenAI's cookbook, num_tokens_from_messages: 129 tokens for gpt-3.5-turbo and gpt-4 (name adds 1 each).
    const messages = [
      ['system', 'You are a helpful, pattern-following assistant that translates corporate jargon into plain English.'],
      ['system', 'example_user', 'New synergies will help drive top-line growth.'],
      ['system', 'example_assistant', 'Things working well together will increase revenue.'],
      [
        'system',
        'example_user',
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
      ],
      ['system', 'example_assistant', "Let's talk later when we're less busy about how to do better."],
      ['user', "This late pivot means we don't have time to boil the ocean for the client deliverable."],
    ];
    const input = { texts: messages.flat(), tokens: 0, messages: messages.length };
    expect(meter.countInput(input, { ...CHAT, providerModel: 'gpt-4-0613' })).toBe(129 - 4);
  });

  it("uses the factor learned for a model that has a tokenizer of its own, and never for OpenAI's", () => {
    const calibration = createCalibration();
    const input = anInput({ texts: ['hello world '.repeat(50)], messages: 0 });
    const calibrated = createMeter({ calibration });
    const before = calibrated.countInput(input, CHAT);
    calibration.learn(CHAT, 100, 150);
    calibration.learn({ ...CHAT, providerModel: 'gpt-4o' }, 100, 150);
    expect(calibrated.countInput(input, CHAT)).toBe(Math.round(before * 1.5));
    expect(calibrated.countInput(input, { ...CHAT, providerModel: 'gpt-4o' })).toBe(before);
  });

  it('is roughly known from its length, heavier where the alphabet is not Latin', () => {
    const rough = (text: string) => meter.roughInput({ texts: [text], tokens: 0, messages: 0 });
    expect(rough('a'.repeat(400))).toBe(100);
    expect(rough('abcde')).toBe(2);
    expect(rough('中'.repeat(400))).toBe(500);
    expect(meter.roughInput({ texts: [], tokens: 7, messages: 2 })).toBe(7 + 2 * 3 + 3);
  });
});

describe('what a meter learns', () => {
  const whole = (output: number | null, interrupted = false) => ({
    subject: CHAT,
    report: aReport({ input: 10, output }),
    input: untouched,
    outputTexts: () => ['hello world'],
    interrupted,
  });

  it('is the average output of whole answers, reported or counted', () => {
    const learning = createMeter();
    expect(learning.averageOutput(CHAT)).toBeNull();
    learning.measure(whole(11));
    learning.measure(whole(null));
    learning.measure(whole(900, true));
    learning.measure(whole(0));
    expect(learning.averageOutput(CHAT)).toBe(7);
  });

  it('is a factor for later counts, and how far this one was off', () => {
    const calibration = createCalibration();
    const learning = createMeter({ calibration, clock: new FakeClock(3_600_000) });
    const input = anInput({ texts: ['hello world '.repeat(50)], messages: 0 });
    const counted = learning.countInput(input, CHAT);
    learning.learn(CHAT, counted, counted * 2);
    expect(learning.countInput(input, CHAT)).toBe(counted * 2);
    expect(calibration.takeChanges().errors).toMatchObject([{ hour: 1, perMille: 500, calls: 1 }]);
    const own = { ...CHAT, providerModel: 'gpt-4o' };
    learning.learn(own, 100, 200);
    expect(calibration.takeChanges()).toMatchObject({ models: [], errors: [{ perMille: 500 }] });
  });
});

describe('usage that is no count', () => {
  it('is logged as a warning once for a model and its fields, then quietly', () => {
    const logged: Array<[string, object]> = [];
    const note = (level: string) => (fields: object) => void logged.push([level, fields]);
    const logger = { ...silentLogger, warn: note('warn'), debug: note('debug') };
    const logging = createMeter({ logger });
    const report = { ...aReport({ input: 1, output: 1 }), problems: ['prompt_tokens_details.cached_tokens'] };
    const call = { subject: CHAT, report, input: untouched, outputTexts: untouched, interrupted: false };
    logging.measure(call);
    logging.measure(call);
    logging.measure({ ...call, report: { ...report, problems: [] } });
    expect(logged.map(([level]) => level)).toEqual(['warn', 'debug']);
    expect(logged[0]?.[1]).toEqual({
      provider: CHAT.providerId,
      providerModel: CHAT.providerModel,
      fields: ['prompt_tokens_details.cached_tokens'],
    });
  });
});
