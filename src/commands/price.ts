import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { KnownType } from '../config/entry-checks.js';
import { findConfigFile, loadConfig } from '../config/load.js';
import { UserError, WaybillError } from '../domain/errors.js';
import { formatUsd, type NanoUsd } from '../domain/money.js';
import { type Quote, quotesToJson } from '../domain/quote.js';

export interface PriceOptions {
  config?: string | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
  prompt?: string | undefined;
  maxTokens?: string | undefined;
  client?: string | undefined;
  region?: string | undefined;
  json?: boolean | undefined;
}

/** What the price is made with. */
export interface PriceTools {
  knownTypes: readonly KnownType[];
  env: Readonly<Record<string, string | undefined>>;
  quote(
    config: Config,
    ask: { endpoint: string; requestText: string; client: string | null; region: string | null },
  ): Promise<Quote[]>;
  /** Everything on standard input. */
  readInput(): string;
}

const DEFAULT_ENDPOINT = 'chat/completions';

/**
 * `waybill price`: where a request would go by a config file, and what it would cost there. Nothing is sent.
 * @returns the exit code: 0, or 1 for a request that would be refused
 * @throws UserError for what cannot be done as asked
 */
export async function priceCommand(
  file: string | undefined,
  options: PriceOptions,
  io: { print(line: string): void; warn(line: string): void },
  tools: PriceTools,
): Promise<number> {
  const endpoint = options.endpoint ?? DEFAULT_ENDPOINT;
  const requestText = file === undefined ? requestOf(endpoint, options) : readRequest(file, tools);
  const { client = null, region = null } = options;
  try {
    const quotes = await tools.quote(configOf(options, tools), { endpoint, requestText, client, region });
    io.print(options.json === true ? quotesToJson(quotes) : tableOf(quotes));
    return 0;
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    io.warn(`waybill price: ${error.code}: ${error.message}`);
    return 1;
  }
}

function configOf({ config: flag }: PriceOptions, { knownTypes, env }: PriceTools): Config {
  const file = findConfigFile({ flag, env });
  if (file === null) throw new UserError('there is no config file; name one with --config FILE');
  const { config } = loadConfig({ file, env, knownTypes });
  if (config === null) throw new UserError(`${file} has errors; \`waybill check ${file}\` lists them`);
  return config;
}

function readRequest(file: string, tools: PriceTools): string {
  if (file === '-') return tools.readInput();
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new UserError(`cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A request from the command line: `--model`, `--prompt`, `--max-tokens`. */
function requestOf(endpoint: string, { model, prompt, maxTokens }: PriceOptions): string {
  if (model === undefined || prompt === undefined) {
    throw new UserError('name a file with the request (- for standard input), or give --model and --prompt');
  }
  if (maxTokens !== undefined && !/^[1-9]\d{0,8}$/.test(maxTokens)) {
    throw new UserError(`--max-tokens ${maxTokens}: expected a whole number from 1 on`);
  }
  const bound = maxTokens === undefined ? {} : { max_tokens: Number(maxTokens) };
  if (endpoint.endsWith('embeddings')) return JSON.stringify({ model, input: prompt });
  if (endpoint.endsWith('chat/completions')) {
    return JSON.stringify({ model, messages: [{ role: 'user', content: prompt }], ...bound });
  }
  return JSON.stringify({ model, prompt, ...bound });
}

const COLUMNS = ['provider', 'model', 'input tokens', 'output at most', 'min USD', 'max USD', 'price'];

function tableOf(quotes: readonly Quote[]): string {
  const lines = quotes.map((quote) => [
    quote.provider,
    quote.model,
    String(quote.inputTokens),
    quote.maxOutputTokens === null ? 'unbounded' : String(quote.maxOutputTokens),
    usd(quote.minCostNanoUsd),
    usd(quote.maxCostNanoUsd),
    quote.priceId ?? 'unknown',
  ]);
  const cells = [COLUMNS, ...lines];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
  const isFigure = (column: number) => column >= 2 && column <= 5;
  const pad = (cell: string, column: number) => {
    const width = widths[column] as number;
    return isFigure(column) ? cell.padStart(width) : cell.padEnd(width);
  };
  return cells.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}

function usd(nanoUsd: NanoUsd | null): string {
  return nanoUsd === null ? 'unknown' : formatUsd(nanoUsd);
}
