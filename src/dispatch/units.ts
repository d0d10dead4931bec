import type { CountedInput, Meter, MeterSubject } from '../domain/metering.js';
import type { NanoUsd } from '../domain/money.js';
import { costOf, type Price, worstCaseOf } from '../domain/pricing.js';
import type { TaskRequest } from '../domain/task.js';
import { inPricedUnits, pricedBy, type Unit, unitOf } from '../domain/units.js';
import { noCounts, totalTokens, type Usage, type UsageCounts, type UsageReport } from '../domain/usage.js';
import { requestUnits } from '../wire/task-input.js';

/**
 * What a call of these tasks uses at most where it is priced by tokens and the request does not say: an image of the
 * largest size at the highest quality, and speech, by the second, in and as text. More than what is documented.
 * Source: https://platform.openai.com/docs/guides/image-generation#cost-and-latency
 */
const MOST_TOKENS_PER_IMAGE = 6_500;
const MOST_TOKENS_PER_SECOND = { audio: 20, text: 10 };

/** One call whose task is counted in units. */
export interface UnitCall {
  ask: TaskRequest;
  price: Price | null;
  subject: MeterSubject;
  /** Its texts, where tokens have to be counted. */
  input: () => CountedInput;
}

/**
 * The usage of a call whose task is not counted in tokens alone: the provider's figures where it gave them, the
 * request's own where it did not; of a unit and tokens only what the price names.
 */
export function measureInUnits(
  call: UnitCall & { report: UsageReport | null; outputTexts: () => readonly string[]; interrupted: boolean },
  meter: Meter,
): Usage {
  const { ask, price, report, interrupted } = call;
  const unit = unitOf(ask.task);
  const reported = report?.counts ?? noCounts();
  const counts = { ...reported };
  if (unit !== null && counts[unit] === null) counts[unit] = requestUnits(ask)?.usual ?? null;
  // A stream that broke off before it told its tokens used those that went in, and the text that was seen, at least.
  const isUntold = interrupted && isPricedByTokensAlone(price, unit) && totalTokens(reported) === null;
  if (wantsTokens(call, unit) || isUntold) {
    const tokens = unit === null ? report : withoutUnit(report, unit);
    const { input, output } = meter.measure({ ...call, report: tokens }).counts;
    counts.input = input;
    const texts = isUntold ? call.outputTexts() : [];
    const isSeen = output === null && texts.length > 0;
    counts.output = isSeen ? meter.countInput({ texts: [...texts], tokens: 0, messages: 0 }, call.subject) : output;
  } else if (report !== null && report.problems.length > 0) {
    // For the log alone: with an input there is nothing to count.
    meter.measure({ ...call, report: { ...report, counts: { ...reported, input: reported.input ?? 0 } } });
  }
  const kept = inPricedUnits(counts, unit, price);
  const isEstimated = Object.keys(kept).some((name) => {
    const key = name as keyof UsageCounts;
    return kept[key] !== null && reported[key] === null;
  });
  return { counts: kept, source: interrupted ? 'lower-bound' : isEstimated ? 'estimated' : 'reported' };
}

function isPricedByTokensAlone(price: Price | null, unit: Unit | null): boolean {
  const by = pricedBy(price, unit);
  return by.tokens && !by.unit;
}

function withoutUnit(report: UsageReport | null, unit: Unit): UsageReport | null {
  return report === null ? null : { ...report, counts: { ...report.counts, [unit]: null } };
}

/** Sent, and nothing came back: what went in at least was used. */
export function unansweredInUnits(call: UnitCall, meter: Meter): Usage {
  const { ask, price, subject } = call;
  const unit = unitOf(ask.task);
  const counts = noCounts();
  // Images come out, everything else goes in.
  if (unit !== null) counts[unit] = unit === 'images' ? 0 : (requestUnits(ask)?.usual ?? null);
  if (wantsTokens(call, unit)) counts.input = meter.countInput(call.input(), subject);
  return { counts: inPricedUnits(counts, unit, price), source: 'lower-bound' };
}

/**
 * The most a call can cost; null where its price does not say. A price by tokens says nothing of speech, whose answer
 * tells no tokens.
 */
export function worstCaseInUnits(
  ask: TaskRequest,
  tokens: { input: number; output: number },
  price: Price | null,
): NanoUsd | null {
  if (price === null) return null;
  const units = requestUnits(ask);
  const by = pricedBy(price, units?.unit ?? null);
  if (!by.unit && !by.tokens) return by.request ? worstCaseOf({ input: 0, output: null }, price) : null;
  // Nothing counts the tokens of a picture or a sound.
  if (units === null && ask.carried !== undefined) return null;
  let most = 0n;
  if (by.unit && units !== null) {
    const cost = costOf({ ...noCounts(), [units.unit]: units.most }, price);
    if (!cost.known) return null;
    most += cost.nanoUsd;
  }
  // What is priced both ways is charged for tokens only where they are told.
  if (!by.tokens || (by.unit && units?.unit === 'characters')) return most;
  const worst = mostTokens(units, tokens);
  const cost = worst === null ? null : worstCaseOf(worst, price);
  return cost === null ? null : most + cost;
}

/** What a call costs at least: what it asks for in its unit, or the tokens that go in. Null where its price does not say. */
export function leastInUnits(ask: TaskRequest, inputTokens: number, price: Price | null): NanoUsd | null {
  const units = requestUnits(ask);
  const by = pricedBy(price, units?.unit ?? null);
  const counts = noCounts();
  if (by.unit && units !== null) counts[units.unit] = units.usual;
  else if (by.tokens && units?.unit !== 'characters') counts.input = inputTokens;
  const cost = costOf(counts, price);
  return cost.known ? cost.nanoUsd : null;
}

function mostTokens(
  units: ReturnType<typeof requestUnits>,
  { input, output }: { input: number; output: number },
): { input: number; output: number } | null {
  switch (units?.unit) {
    case 'characters':
      return null;
    case 'images':
      return { input, output: units.most * MOST_TOKENS_PER_IMAGE };
    case 'audioMs': {
      const seconds = Math.ceil(units.most / 1_000);
      return { input: input + seconds * MOST_TOKENS_PER_SECOND.audio, output: seconds * MOST_TOKENS_PER_SECOND.text };
    }
    default:
      return { input, output };
  }
}

/** Tokens are counted by us only where text goes in, and nothing but tokens is priced. */
function wantsTokens({ ask, price }: UnitCall, unit: Unit | null): boolean {
  if (unit !== null && unit !== 'searchUnits') return false;
  if (ask.carried !== undefined) return false;
  const by = pricedBy(price, unit);
  return unit === null ? by.tokens || !by.request : by.tokens && !by.unit;
}
