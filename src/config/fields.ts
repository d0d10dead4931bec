import * as z from 'zod';
import { type Decimal, parseDecimal } from '../domain/money.js';
import { nearest, suggestion } from './nearest.js';

/**
 * The kinds of value a config key can have. Every kind takes what the YAML says as text too (`"300"` for 300), because
 * a value may come out of an environment variable. `expects` completes the sentence "expected …".
 */

type JsonShape = Record<string, unknown>;

/** Why a value is refused: instead of "expected …", or (`hint`) after it. */
export class Refusal {
  readonly message: string | null;
  readonly hint: string;

  constructor(message: string | null, hint = '') {
    this.message = message;
    this.hint = hint;
  }
}

export interface FieldOptions<T> {
  /** What the JSON Schema says of the key. */
  shape: JsonShape;
  /** Completes "expected …". */
  expects: string;
  /** Undefined when the value is none of this kind. */
  parse: (value: unknown) => T | undefined | Refusal;
  /** Its text is never shown in a message. */
  secret?: boolean;
}

/** A key whose value is no mapping and no list. */
export function field<T>(options: FieldOptions<T>) {
  return z
    .unknown()
    .meta(options.shape)
    .transform((value, context): T => {
      const parsed = options.parse(value);
      if (parsed !== undefined && !(parsed instanceof Refusal)) return parsed;
      const refusal = parsed instanceof Refusal ? parsed : new Refusal(null);
      const params = { showsValue: options.secret !== true && refusal.message === null, hint: refusal.hint };
      const expected = value === undefined ? `missing; expected ${options.expects}` : `expected ${options.expects}`;
      context.addIssue({ code: 'custom', message: refusal.message ?? expected, params });
      return z.NEVER;
    });
}

/** A mapping with these keys and no others. */
export function section<S extends z.ZodRawShape>(shape: S) {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') {
        // One line for each key, in the order of `issue.keys`; they are taken apart where findings are made.
        return issue.keys.map((key) => `unknown key \`${key}\`${suggestion(key, keys)}`).join('\n');
      }
      return `expected a mapping with ${keys.slice(0, 6).join(', ')}${keys.length > 6 ? ', …' : ''}`;
    },
  });
}

export function listOf<T extends z.ZodType>(item: T, expects: string) {
  return z.array(item, { error: () => `expected a list of ${expects}` });
}

export function mapOf<T extends z.ZodType>(item: T, expects: string) {
  return z.record(z.string(), item, { error: () => `expected a mapping of ${expects}` });
}

export function text(options: { expects?: string; pattern?: RegExp; secret?: boolean } = {}) {
  const { expects = 'text', pattern } = options;
  return field({
    shape: { type: 'string', ...(pattern === undefined ? {} : { pattern: pattern.source }) },
    expects,
    secret: options.secret === true,
    parse: (value) => {
      const read = asText(value);
      return read === undefined || (pattern !== undefined && !pattern.test(read)) ? undefined : read;
    },
  });
}

export const nonEmpty = (expects = 'text that is not empty') => text({ expects, pattern: /\S/ });

export const secretText = (expects = 'text') => text({ expects, secret: true });

/** More names than this are not listed in a message. */
const MAX_LISTED = 12;

export function choice<const V extends readonly string[]>(values: V, expects?: string) {
  const listed = values.length > MAX_LISTED ? `${values.slice(0, MAX_LISTED).join(', ')}, …` : values.join(', ');
  return field<V[number]>({
    shape: { type: 'string', enum: [...values] },
    expects: expects ?? `one of ${listed}`,
    parse: (value) => {
      if (typeof value !== 'string') return undefined;
      if (values.includes(value)) return value;
      const near = nearest(value, values);
      return near === null ? undefined : new Refusal(null, `; did you mean \`${near}\`?`);
    },
  });
}

export function flag() {
  return field({
    shape: { type: ['boolean', 'string'] },
    expects: 'true or false',
    parse: (value) => {
      if (typeof value === 'boolean') return value;
      const word = typeof value === 'string' ? value.trim().toLowerCase() : '';
      return word === 'true' ? true : word === 'false' ? false : undefined;
    },
  });
}

export function integer(bounds: { min: number; max?: number; hint?: string }) {
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds;
  const range = bounds.max === undefined ? `of at least ${min}` : `from ${min} to ${max}`;
  return field({
    shape: { type: ['integer', 'string'], minimum: min, ...(bounds.max === undefined ? {} : { maximum: max }) },
    expects: `a whole number ${range}${bounds.hint === undefined ? '' : ` (${bounds.hint})`}`,
    parse: (value) => {
      const decimal = asDecimal(value);
      if (decimal === undefined) return undefined;
      const divisor = 10n ** BigInt(decimal.scale);
      if (decimal.digits % divisor !== 0n) return undefined;
      const whole = decimal.digits / divisor;
      return whole < BigInt(min) || whole > BigInt(max) ? undefined : Number(whole);
    },
  });
}

/** A limit: left out for none, never 0. */
export const limit = () => integer({ min: 1, hint: 'left out for no limit' });

/** A weight or ratio: a number that is not money. */
export function ratio(bounds: { above?: number; min?: number; max?: number }) {
  const { above, min, max } = bounds;
  const range =
    above !== undefined ? `above ${above}` : max === undefined ? `of at least ${min}` : `from ${min} to ${max}`;
  return field({
    shape: {
      type: ['number', 'string'],
      ...(above === undefined ? { minimum: min } : { exclusiveMinimum: above }),
      ...(max === undefined ? {} : { maximum: max }),
    },
    expects: `a number ${range}`,
    parse: (value) => {
      if (asDecimal(value) === undefined) return undefined;
      const read = Number(value);
      if (!Number.isFinite(read) || (above !== undefined && read <= above)) return undefined;
      return (min !== undefined && read < min) || (max !== undefined && read > max) ? undefined : read;
    },
  });
}

/** An amount of USD as the decimal that was written: exact, never negative. */
export function usd(options: { positive?: boolean } = {}) {
  return field<Decimal>({
    shape: { type: ['number', 'string'], ...(options.positive === true ? { exclusiveMinimum: 0 } : { minimum: 0 }) },
    expects: `an amount of USD ${options.positive === true ? 'above 0' : 'that is not negative'}, such as 0.0000002`,
    parse: (value) => {
      const decimal = asDecimal(value);
      if (decimal === undefined || decimal.digits < 0n) return undefined;
      return options.positive === true && decimal.digits === 0n ? undefined : decimal;
    },
  });
}

export function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : undefined;
}

/** A number beyond 40 digits or so is a mistake, and costs time. */
const MAX_DECIMAL_LENGTH = 60;

export function asDecimal(value: unknown): Decimal | undefined {
  const read = asText(value);
  if (read === undefined || read.length > MAX_DECIMAL_LENGTH) return undefined;
  return parseDecimal(read) ?? undefined;
}
