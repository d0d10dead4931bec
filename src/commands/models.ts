import type { Config } from '../config/config.js';
import { UserError } from '../domain/errors.js';
import { formatRatePerMillion, type NanoUsdPerMillion } from '../domain/money.js';
import type { OfferedModel } from '../domain/offered-model.js';
import { drawColumns } from './columns.js';
import { type ConfigTools, openConfig } from './open-config.js';

export interface ModelsOptions {
  provider?: string | undefined;
  client?: string | undefined;
  json?: boolean | undefined;
  config?: string | undefined;
}

export interface ModelsTools extends ConfigTools {
  offeredModels(config: Config, client: string | null): Promise<OfferedModel[]>;
}

/**
 * `waybill models`: every name the config offers, and what stands behind it.
 * @returns the exit code: 0
 * @throws UserError for a provider or client that is not there
 */
export async function modelsCommand(
  options: ModelsOptions,
  io: { print(line: string): void },
  tools: ModelsTools,
): Promise<number> {
  const { provider, client = null, json = false } = options;
  const config = await openConfig(options.config, tools);
  const known = config.providers.map(({ id }) => id);
  if (provider !== undefined && !known.includes(provider)) {
    throw new UserError(`there is no provider "${provider}"; known: ${known.join(', ')}`);
  }
  const all = await tools.offeredModels(config, client);
  const models = provider === undefined ? all : all.filter((model) => model.provider === provider);
  io.print(json ? JSON.stringify({ models: models.map(toFields) }, null, 2) : tableOf(models));
  return 0;
}

function toFields(model: OfferedModel) {
  return {
    id: model.id,
    alias: model.isAlias,
    provider: model.provider,
    provider_model: model.providerModel,
    tasks: model.tasks,
    pricing: { input: toUsd(model.input), output: toUsd(model.output) },
    context_length: model.contextWindow,
    region: model.region,
    status: model.disabledReason === null ? 'ready' : 'disabled',
    disabled_reason: model.disabledReason,
  };
}

/** USD per million tokens, for reading. */
function toUsd(rate: NanoUsdPerMillion | null): number | null {
  return rate === null ? null : Number(formatRatePerMillion(rate));
}

const SHOWN_TASKS = 6;

const COLUMNS = [
  ...['model', 'provider', 'provider model', 'tasks', 'input USD/1M', 'output USD/1M'],
  ...['context', 'region', 'status'],
];

function tableOf(models: readonly OfferedModel[]): string {
  const price = (rate: NanoUsdPerMillion | null) => (rate === null ? 'unknown' : formatRatePerMillion(rate));
  const lines = models.map((model) => [
    `${model.id}${model.isAlias ? ' (alias)' : ''}`,
    model.provider,
    model.providerModel ?? 'any',
    tasksText(model.tasks),
    price(model.input),
    price(model.output),
    model.contextWindow === null ? '-' : String(model.contextWindow),
    model.region ?? '-',
    model.disabledReason === null ? 'ready' : `disabled: ${model.disabledReason}`,
  ]);
  return lines.length === 0 ? 'no models' : drawColumns(COLUMNS, lines, [4, 5, 6]);
}

/** Some types do more tasks than a line has room for; `--json` has all of them. */
function tasksText(tasks: readonly string[]): string {
  const more = tasks.length - SHOWN_TASKS;
  return more <= 1 ? tasks.join(', ') : `${tasks.slice(0, SHOWN_TASKS).join(', ')} and ${more} more`;
}
