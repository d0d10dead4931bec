import { RATE_CLASSES } from '../../domain/pricing.js';
import type { ProviderAdapter } from '../../domain/provider.js';
import { OTHER_TASK, TASKS } from '../../domain/task.js';

/** What a module may export: an adapter, of which it may leave out what only a built-in type needs. */
export type ExternalAdapter = Omit<ProviderAdapter, 'docs' | 'sampleConfig' | 'defaultRates' | 'inline'> &
  Partial<Pick<ProviderAdapter, 'docs' | 'sampleConfig' | 'defaultRates'>>;

/** An export that is an adapter, or everything that is wrong with it. */
export type ShapeCheck = { ok: true; adapter: ExternalAdapter } | { ok: false; problems: string[] };

type Fields = Readonly<Record<string, unknown>>;

const ID = /^[A-Za-z0-9._-]+$/;
const TASK_NAMES: ReadonlySet<string> = new Set([...TASKS, OTHER_TASK]);
const RATE_NAMES: ReadonlySet<string> = new Set(RATE_CLASSES);
const HELPER_FUNCTIONS = ['makeRoute', 'preparePayload', 'getResponse'];
const HELPER_MAY_HAVE = ['prepareHeaders', 'openStream', 'relays'];
const MAY_HAVE = ['sign', 'secretsIn', 'baseUrlFor', 'classify', 'hint', 'checkEntry', 'sampleConfig'];

/** Checks what a module exported as its adapter, all of it at once. */
export function checkShape(value: unknown): ShapeCheck {
  if (!isFields(value)) return { ok: false, problems: [`the adapter is ${kindOf(value)}; expected an object`] };
  const problems = [
    ...idProblems(value),
    ...addressProblems(value),
    ...(typeof value['needsKey'] === 'boolean' ? [] : [expected(value, 'needsKey', 'true or false')]),
    ...(value['inline'] === true ? ['`inline` is for what runs inside the router; leave it out'] : []),
    ...rateProblems(value),
    ...functionProblems(value, '', ['authenticate'], MAY_HAVE),
    ...taskProblems(value),
    ...listerProblems(value),
  ];
  return problems.length > 0 ? { ok: false, problems } : { ok: true, adapter: value as unknown as ExternalAdapter };
}

function idProblems(adapter: Fields): string[] {
  const { id, aliases } = adapter;
  const problems: string[] = [];
  if (typeof id !== 'string' || !ID.test(id)) {
    problems.push(expected(adapter, 'id', 'a name of letters, digits, `.`, `_` and `-`'));
  }
  if (aliases !== undefined && !(Array.isArray(aliases) && aliases.every((alias) => typeof alias === 'string'))) {
    problems.push(expected(adapter, 'aliases', 'a list of names'));
  }
  return problems;
}

function addressProblems(adapter: Fields): string[] {
  const { baseUrl } = adapter;
  if (baseUrl === null) return [];
  const isUrl = typeof baseUrl === 'string' && /^https?:\/\//.test(baseUrl) && URL.canParse(baseUrl);
  return isUrl
    ? []
    : [expected(adapter, 'baseUrl', 'a URL such as https://host/v1, or null where the config gives it')];
}

function rateProblems(adapter: Fields): string[] {
  const { defaultRates: rates } = adapter;
  if (rates === undefined || rates === null) return [];
  if (!isFields(rates)) return [expected(adapter, 'defaultRates', 'rates by class, or null')];
  return Object.entries(rates).flatMap(([name, rate]) => {
    if (!RATE_NAMES.has(name)) return [`\`defaultRates.${name}\` is no class; known: ${[...RATE_NAMES].join(', ')}`];
    const isRate = typeof rate === 'bigint' && rate >= 0n;
    return isRate
      ? []
      : [`\`defaultRates.${name}\` is ${kindOf(rate)}; expected a bigint, nano-USD for a million units`];
  });
}

function taskProblems(adapter: Fields): string[] {
  const { tasks } = adapter;
  if (!isFields(tasks) || Object.keys(tasks).length === 0) {
    return [expected(adapter, 'tasks', 'an object with a helper for each task, such as { chat: … }')];
  }
  return Object.entries(tasks).flatMap(([task, helper]) => {
    if (!TASK_NAMES.has(task)) {
      return [
        `\`tasks.${task}\`: there is no such task; known: ${[...TASK_NAMES].slice(0, 8).join(', ')}, and Hugging Face's names`,
      ];
    }
    if (!isFields(helper)) return [`\`tasks.${task}\` is ${kindOf(helper)}; expected a task helper`];
    const { predicts } = helper;
    const isFlag = predicts === undefined || predicts === true;
    return [
      ...functionProblems(helper, `tasks.${task}.`, HELPER_FUNCTIONS, HELPER_MAY_HAVE),
      ...(isFlag ? [] : [`\`tasks.${task}.predicts\` is ${kindOf(predicts)}; expected true, or nothing`]),
    ];
  });
}

function listerProblems({ listModels }: Fields): string[] {
  if (listModels === undefined) return [];
  if (!isFields(listModels)) return [`\`listModels\` is ${kindOf(listModels)}; expected { makeRoute, parse }`];
  return functionProblems(listModels, 'listModels.', ['makeRoute', 'parse'], []);
}

function functionProblems(
  holder: Fields,
  where: string,
  needed: readonly string[],
  optional: readonly string[],
): string[] {
  const wrong = [
    ...needed.filter((name) => typeof holder[name] !== 'function'),
    ...optional.filter((name) => holder[name] !== undefined && typeof holder[name] !== 'function'),
  ];
  return wrong.map((name) => `\`${where}${name}\` is ${kindOf(holder[name])}; expected a function`);
}

function expected(fields: Fields, name: string, what: string): string {
  return `\`${name}\` is ${kindOf(fields[name])}; expected ${what}`;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
