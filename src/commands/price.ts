import type { Config } from '../config/config.js';
import { UserError, WaybillError } from '../domain/errors.js';
import { formatUsd, type NanoUsd } from '../domain/money.js';
import { type Quote, quotesToJson } from '../domain/quote.js';
import { drawColumns } from './columns.js';
import { type ConfigTools, openConfig, readText } from './open-config.js';

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
export interface PriceTools extends ConfigTools {
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
  const requestText = file === undefined ? requestOf(endpoint, options) : readText(file, tools.readInput);
  const { client = null, region = null } = options;
  try {
    const quotes = await tools.quote(await openConfig(options.config, tools), {
      endpoint,
      requestText,
      client,
      region,
    });
    io.print(options.json === true ? quotesToJson(quotes) : tableOf(quotes));
    return 0;
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    io.warn(`waybill price: ${error.code}: ${error.message}`);
    return 1;
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
  return requestFor(endpoint, model, prompt, maxTokens === undefined ? {} : { max_tokens: Number(maxTokens) });
}

/** The body of a request of one text. */
export function requestFor(endpoint: string, model: string, text: string, bound: object = {}): string {
  if (endpoint.endsWith('embeddings')) return JSON.stringify({ model, input: text });
  if (endpoint.endsWith('chat/completions')) {
    return JSON.stringify({ model, messages: [{ role: 'user', content: text }], ...bound });
  }
  return JSON.stringify({ model, prompt: text, ...bound });
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
  return drawColumns(COLUMNS, lines, [2, 3, 4, 5]);
}

function usd(nanoUsd: NanoUsd | null): string {
  return nanoUsd === null ? 'unknown' : formatUsd(nanoUsd);
}
