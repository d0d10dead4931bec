import { readFileSync } from 'node:fs';
import { toFindings } from '../config/issues.js';
import { checkPrices } from '../config/pricing.js';
import { pricingField } from '../config/schema-providers.js';
import { formatPath } from '../config/yaml-path.js';
import { readYaml } from '../config/yaml-source.js';
import { UserError } from '../domain/errors.js';
import type { PriceRecord, RepriceOrder, RepriceResult } from '../domain/ledger.js';
import { formatUsd } from '../domain/money.js';
import type { Price, PriceTier, Rates } from '../domain/pricing.js';
import { checkRange, parseInstant, QueryError } from '../domain/report.js';
import { createZonedCalendar, isTimeZone } from '../domain/time-zone.js';
import { type LedgerOptions, orComplain } from './ledger.js';
import { type CommandIo, type LedgerPlace, ledgerPath } from './report.js';

export interface RepriceOptions extends LedgerOptions {
  from?: string | undefined;
  to?: string | undefined;
  tz?: string | undefined;
  price?: string | undefined;
  provider?: string | undefined;
  model?: string | undefined;
  dryRun?: boolean | undefined;
}

/** What repricing is made with. */
export interface RepriceTools extends LedgerPlace {
  /** A price with its id, and as the price book keeps it. */
  makePrice(rates: Rates, tiers: readonly PriceTier[], now: number): { price: Price; record: PriceRecord };
  reprice(
    path: string,
    order: RepriceOrder,
    options: { now: number; onStep: (result: Readonly<RepriceResult>) => void },
  ): RepriceResult;
  now(): number;
}

const PROGRESS_ATTEMPTS = 50_000;

/**
 * `waybill reprice --from … --to … --price FILE`: records what settled attempts cost at another price. Nothing is edited.
 * @returns the exit code: 0, or 2 with one line on `err` for what cannot be done as asked
 */
export async function repriceCommand(options: RepriceOptions, io: CommandIo, tools: RepriceTools): Promise<number> {
  return orComplain('reprice', io, async () => {
    const range = parseRange(options);
    const now = tools.now();
    const { rates, tiers } = readPrice(options.price, io);
    const { price, record } = tools.makePrice(rates, tiers, now);
    const { provider = null, model = null } = options;
    const order = { ...range, price, record, provider, model, dryRun: options.dryRun === true };
    let told = 0;
    const onStep = ({ looked }: Readonly<RepriceResult>) => {
      if (looked < told + PROGRESS_ATTEMPTS) return;
      told = looked;
      io.err(`${looked} attempts looked at so far\n`);
    };
    const result = tools.reprice(ledgerPath(options, tools), order, { now, onStep });
    io.out(options.json === true ? toJson(result, order) : describe(result, order));
    return 0;
  });
}

/** @throws UserError */
function parseRange({ from, to, tz = 'UTC' }: RepriceOptions): { from: number; to: number } {
  if (!isTimeZone(tz)) throw new UserError(`unknown time zone "${tz}"; use an IANA name such as Europe/Berlin`);
  const calendar = createZonedCalendar(tz);
  try {
    const range = { from: parseInstant(from, 'from', calendar), to: parseInstant(to, 'to', calendar) };
    if (range.from === null || range.to === null) {
      throw new UserError('say which requests: --from and --to, such as --from 2026-11-01 --to 2026-12-01');
    }
    checkRange(range.from, range.to);
    return { from: range.from, to: range.to };
  } catch (error) {
    if (error instanceof QueryError) throw new UserError(error.message, { cause: error });
    throw error;
  }
}

/**
 * A price from a file with the keys of `pricing`. What is implausible is said on `err`.
 * @throws UserError naming the first thing that is wrong
 */
function readPrice(file: string | undefined, io: CommandIo): { rates: Rates; tiers: PriceTier[] } {
  if (file === undefined) throw new UserError('name the price: --price FILE, with the keys of `pricing`');
  const yaml = readYaml(readText(file));
  if (!yaml.ok) throw new UserError(`${file}, line ${yaml.line}: ${yaml.message}`);
  const { tree, lines, findings } = yaml.source;
  const parsed = pricingField.safeParse(tree);
  const found = [
    ...findings,
    ...checkPrices(tree, []),
    ...(parsed.success ? [] : toFindings(parsed.error.issues, { tree, written: tree })),
  ];
  const place = (path: (typeof found)[number]['path']) => `${file}, line ${lines.lineOf(path)}: ${formatPath(path)}`;
  const error = found.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new UserError(`${place(error.path)}: ${error.message}`);
  if (!parsed.success) throw new UserError(`${file}: expected the keys of \`pricing\``);
  for (const { path, message } of found) io.err(`${place(path)}: ${message}\n`);
  const { rates, tiers } = parsed.data;
  if (Object.keys(rates).length === 0 && tiers.length === 0) throw new UserError(`${file} sets no price`);
  return { rates, tiers };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read the price file ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function describe(result: RepriceResult, { price, dryRun }: RepriceOrder): string {
  const { looked, adjusted, uncovered, beforeNanoUsd, afterNanoUsd, prunedHours } = result;
  const lines = [
    `price ${price.id}: ${adjusted} of ${looked} attempts ${dryRun ? 'would be ' : ''}adjusted`,
    `their cost: ${formatUsd(beforeNanoUsd)} USD before, ${formatUsd(afterNanoUsd)} USD after`,
  ];
  if (uncovered > 0)
    lines.push(`${uncovered} attempts used something this price has no rate for; they keep their cost`);
  if (prunedHours > 0) lines.push(`${prunedHours} hours of the range have been pruned; they keep their cost`);
  return `${lines.join('\n')}\n`;
}

function toJson(result: RepriceResult, { price, dryRun }: RepriceOrder): string {
  return `${JSON.stringify({
    price_id: price.id,
    dry_run: dryRun,
    looked: result.looked,
    adjusted: result.adjusted,
    uncovered: result.uncovered,
    before_nano_usd: result.beforeNanoUsd.toString(),
    after_nano_usd: result.afterNanoUsd.toString(),
    pruned_hours: result.prunedHours,
  })}\n`;
}
