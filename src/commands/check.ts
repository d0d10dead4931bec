import type { ConfigProblem } from '../config/config.js';
import { type DescribedPrice, describeRouting, type RoutingDescription } from '../config/describe.js';
import type { KnownType } from '../config/entry-checks.js';
import { findConfigFile, loadConfigAndModules } from '../config/load.js';
import type { LoadModule } from '../config/provider-modules.js';
import { UserError } from '../domain/errors.js';

/** Where a command writes: standard output and standard error have this shape. */
export interface TextOut {
  write(text: string): unknown;
}

export interface CheckOptions {
  /** The file; left out, it is looked for where `serve` looks. */
  file?: string | undefined;
  json?: boolean | undefined;
  knownTypes: readonly KnownType[];
  loadModule: LoadModule;
  out: TextOut;
  /** For what keeps the check from being made. */
  err: TextOut;
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
}

/**
 * `waybill check`: one line a problem, then the effective routing and each price.
 * @returns the exit code: 0 also with warnings, 1 with errors, 2 when the file cannot be read
 */
export async function checkCommand(options: CheckOptions): Promise<number> {
  const { json = false, knownTypes, loadModule, out, err } = options;
  const surroundings = {
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  const file = findConfigFile({ flag: options.file, ...surroundings });
  if (file === null) {
    err.write('waybill: there is no config file; name one (waybill check FILE), or write ./config.yaml\n');
    return 2;
  }
  try {
    const { env } = options;
    const given = env === undefined ? {} : { env };
    const { config, problems } = await loadConfigAndModules({ file, knownTypes, loadModule, ...given });
    const routing = config === null ? null : describeRouting(config);
    out.write(json ? toJson(file, problems, routing) : toText(file, problems, routing));
    return config === null ? 1 : 0;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    err.write(`waybill: ${error.message}\n`);
    return 2;
  }
}

/** `FILE:LINE: path: message`, the form editors and CI jump to. */
export function formatProblem(file: string, problem: ConfigProblem): string {
  const path = problem.path === '' ? '' : ` ${problem.path}:`;
  return `${file}:${problem.line}:${path}${problem.severity === 'warning' ? ' warning:' : ''} ${problem.message}`;
}

function toJson(file: string, problems: readonly ConfigProblem[], routing: RoutingDescription | null): string {
  const listed = (severity: ConfigProblem['severity']) =>
    problems
      .filter((problem) => problem.severity === severity)
      .map(({ path, line, message }) => ({ path, line, message }));
  const result = { file, valid: routing !== null, errors: listed('error'), warnings: listed('warning'), routing };
  return `${JSON.stringify(result, null, 2)}\n`;
}

function toText(file: string, problems: readonly ConfigProblem[], routing: RoutingDescription | null): string {
  const lines = problems.map((problem) => formatProblem(file, problem));
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = problems.length - errors;
  if (routing !== null) {
    if (lines.length > 0) lines.push('');
    lines.push(...routingLines(routing), '');
  }
  lines.push(`${file}: ${errors === 0 ? 'no errors' : counted(errors, 'error')}, ${counted(warnings, 'warning')}`);
  return `${lines.join('\n')}\n`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function routingLines(routing: RoutingDescription): string[] {
  const lines = [
    `Listens on ${routing.listen}${routing.openMode ? ', open to every caller on this machine (no api_keys)' : ''}`,
    '',
    'Providers (prices in USD per million tokens)',
  ];
  for (const provider of routing.providers) {
    const keys = `${counted(provider.keys, 'key')}${provider.takesClientKeys ? ' and those of requests' : ''}`;
    const state = provider.disabledReason === null ? keys : `disabled: ${provider.disabledReason}`;
    lines.push(
      `  ${provider.id} (${provider.type}), ${state}${provider.baseUrl === null ? '' : `, ${provider.baseUrl}`}`,
    );
    for (const model of provider.models) {
      const upstream = model.providerModel === model.id ? '' : ` → ${model.providerModel}`;
      const tasks = model.tasks === null ? '' : ` [${model.tasks.join(', ')}]`;
      const isDefault = model.id === provider.defaultModel ? ' (default)' : '';
      lines.push(`    ${model.id}${upstream}${isDefault}${tasks}: ${priceText(model.price)}${outputUnknown(model)}`);
    }
    if (provider.anyModel) lines.push(`    ${provider.id}:<any model>: ${priceText(provider.price)}`);
  }
  if (routing.aliases.length > 0) lines.push('', 'Aliases');
  for (const { name, targets, fallback } of routing.aliases) {
    const shares = targets
      .map(({ model, weight }) => (targets.length === 1 ? model : `${model} (${weight})`))
      .join(', ');
    lines.push(`  ${name} → ${shares}${fallback.length === 0 ? '' : `, else ${fallback.join(', ')}`}`);
  }
  return lines;
}

/** A chat model without an output price has an unknown cost, not a cost of its input alone. */
function outputUnknown({ tasks, price }: RoutingDescription['providers'][number]['models'][number]): string {
  if (price === null || price === 'catalog' || price.usdPerMillionTokens['output'] !== undefined) return '';
  const writesText = tasks?.some((task) => task === 'chat' || task === 'completion') === true;
  return writesText && price.usdPerMillionTokens['input'] !== undefined ? ', output unknown' : '';
}

function priceText(price: DescribedPrice): string {
  if (price === null) return 'price unknown';
  if (price === 'catalog') return 'price from the catalogue';
  const base = ratesText(price);
  const tiers = price.tiers.map((tier) => `; above ${tier.aboveInputTokens} input tokens: ${ratesText(tier)}`);
  return `${base}${tiers.join('')}`;
}

function ratesText(rates: { usdPerMillionTokens: Record<string, string>; usdEach: Record<string, string> }): string {
  const parts = [
    ...Object.entries(rates.usdPerMillionTokens).map(([name, usd]) => `${name} ${usd}`),
    ...Object.entries(rates.usdEach).map(([name, usd]) => `${usd} USD per ${name.replace('_', ' ')}`),
  ];
  return parts.length === 0 ? 'price unknown' : parts.join(', ');
}
