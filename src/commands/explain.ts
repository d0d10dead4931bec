import { existsSync } from 'node:fs';
import type { Config } from '../config/config.js';
import { UserError, WaybillError } from '../domain/errors.js';
import { type Explanation, explanationToJson } from '../domain/explanation.js';
import { formatUsd } from '../domain/money.js';
import { drawColumns } from './columns.js';
import { type ConfigTools, openConfig, readText } from './open-config.js';
import { requestFor } from './price.js';

export interface ExplainOptions {
  config?: string | undefined;
  model?: string | undefined;
  message?: string | undefined;
  endpoint?: string | undefined;
  client?: string | undefined;
  region?: string | undefined;
  url?: string | undefined;
  adminKey?: string | undefined;
  json?: boolean | undefined;
}

export interface ExplainTools extends ConfigTools {
  explain(
    config: Config,
    ask: { endpoint: string | null; requestText: string; client: string | null; region: string | null },
  ): Promise<Explanation>;
  /** Everything on standard input. */
  readInput(): string;
}

/** What is read of the answer; amounts as text. */
interface Told {
  client: string;
  endpoint: string;
  model: string;
  algorithm: string;
  candidates: Array<{
    provider: string;
    model: string;
    score: number | null;
    reason: string;
    estimated_cost_nano_usd: string | null;
    parts: Record<string, number> | null;
    keys: { ready: number; waiting: number; disabled: number };
  }>;
  excluded: Array<{ provider: string; model: string; reason: string }>;
  error: { code: string; message: string } | null;
}

const ANSWER_MS = 30_000;

/**
 * `waybill explain`: where a request would go, and why; by the config file, or by a running daemon. Nothing is sent.
 * @returns the exit code: 0, or 1 for a request that would be refused
 * @throws UserError for what cannot be done as asked
 */
export async function explainCommand(
  given: string | undefined,
  options: ExplainOptions,
  io: { print(line: string): void; warn(line: string): void },
  tools: ExplainTools,
): Promise<number> {
  const requestText = requestOf(given, options, tools);
  const { endpoint = null, client = null, region = null, json = false } = options;
  try {
    const ask = { endpoint, requestText, client, region };
    const text =
      options.url === undefined
        ? explanationToJson(await tools.explain(await openConfig(options.config, tools), ask))
        : await askDaemon(options.url, options.adminKey ?? tools.env['ADMIN_API_KEY'], ask);
    const told = JSON.parse(text.replace(/("estimated_cost_nano_usd":)(\d+)/g, '$1"$2"')) as Told;
    io.print(json ? text : textOf(told));
    if (told.error === null) return 0;
    if (!json) io.warn(`waybill explain: ${told.error.code}: ${told.error.message}`);
    return 1;
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    io.warn(`waybill explain: ${error.code}: ${error.message}`);
    return 1;
  }
}

/** A file, standard input, or a request made from a model's name and a message. */
function requestOf(given: string | undefined, options: ExplainOptions, tools: ExplainTools): string {
  const { model, message, endpoint = 'chat/completions' } = options;
  if (given !== undefined && (given === '-' || existsSync(given))) {
    if (model !== undefined || message !== undefined) {
      throw new UserError('the request is in the file; leave out --model and --message');
    }
    return readText(given, tools.readInput);
  }
  if (given !== undefined && model !== undefined) throw new UserError(`cannot read ${given}: there is no such file`);
  const name = model ?? given;
  if (name === undefined) throw new UserError('name a model, or a file with the request (- for standard input)');
  return requestFor(endpoint, name, message ?? 'Hello');
}

async function askDaemon(
  base: string,
  adminKey: string | undefined,
  ask: { endpoint: string | null; requestText: string; client: string | null; region: string | null },
): Promise<string> {
  const { endpoint, client, region, requestText } = ask;
  const url = URL.canParse(base) ? new URL('/api/admin/v1/explain', base) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UserError(`--url ${base}: expected the address of a daemon, like http://127.0.0.1:2906`);
  }
  for (const [name, value] of Object.entries({ endpoint, client, region })) {
    if (value !== null) url.searchParams.set(name, value);
  }
  const headers = {
    'content-type': 'application/json',
    ...(adminKey === undefined || adminKey === '' ? {} : { authorization: `Bearer ${adminKey}` }),
  };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: requestText,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await response.text();
    if (response.ok) return text;
    throw refusal(response.status, text);
  } catch (cause) {
    if (cause instanceof UserError || cause instanceof WaybillError) throw cause;
    const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new UserError(`no answer from ${url.origin}: ${why}`, { cause });
  }
}

/** The daemon's own words: about the request, or about who asks. */
function refusal(status: number, text: string): Error {
  let message = text.slice(0, 200);
  let code = '';
  try {
    const { error } = JSON.parse(text) as { error: { message: string; code: string } };
    message = error.message;
    code = error.code;
  } catch {
    // Something else answers there: said as it came.
  }
  if (code === 'model_not_found') return new WaybillError('model_not_found', { message });
  return new UserError(`the daemon refused (${status}): ${message}`);
}

const COLUMNS = ['', 'provider', 'model', 'score', 'estimated USD', 'keys', 'why'];

function textOf({ client, endpoint, model, algorithm, candidates, excluded }: Told): string {
  const lines = candidates.map((candidate, index) => [
    `${index + 1}.`,
    candidate.provider,
    candidate.model,
    candidate.score === null ? '-' : figure(candidate.score),
    candidate.estimated_cost_nano_usd === null ? 'unknown' : formatUsd(BigInt(candidate.estimated_cost_nano_usd)),
    keysText(candidate.keys),
    `${candidate.reason}${partsText(candidate.parts)}`,
  ]);
  const text = [`${model} at ${endpoint} for client ${client}, by ${algorithm}`, ''];
  text.push(lines.length === 0 ? 'It would be sent nowhere.' : drawColumns(COLUMNS, lines, [3, 4]));
  if (excluded.length > 0) {
    const reasons = excluded.map((target) => [`  ${target.provider}`, target.model, target.reason]);
    text.push('', drawColumns(['Passed over', '', ''], reasons, []));
  }
  return text.join('\n');
}

function keysText({ ready, waiting, disabled }: Told['candidates'][number]['keys']): string {
  const rest = [...(waiting > 0 ? [`${waiting} waiting`] : []), ...(disabled > 0 ? [`${disabled} disabled`] : [])];
  return [`${ready} ready`, ...rest].join(', ');
}

/** What adds to the score. */
function partsText(parts: Record<string, number> | null): string {
  if (parts === null) return '';
  const named = Object.entries(parts).filter(([, value]) => value > 0);
  return named.length === 0 ? '' : `: ${named.map(([name, value]) => `${name} ${figure(value)}`).join(', ')}`;
}

function figure(value: number): string {
  return String(Number(value.toPrecision(4)));
}
