import { yamlText } from '../config/yaml-text.js';
import { UserError } from '../domain/errors.js';
import type { ProviderAdapter } from '../domain/provider.js';
import { HUGGING_FACE_TASKS, OPENAI_TASKS, type Task } from '../domain/task.js';
import { drawColumns } from './columns.js';

export interface ProvidersOptions {
  sample?: string | undefined;
  json?: boolean | undefined;
  markdown?: boolean | undefined;
}

export interface ProvidersTools {
  knownTypes: readonly ProviderAdapter[];
}

/**
 * `waybill providers`: every type an entry may have, and what it can do. With `sample`, an entry of that type to begin
 * with.
 * @returns the exit code: 0
 * @throws UserError for a type that is not there
 */
export function providersCommand(
  { sample, json = false, markdown = false }: ProvidersOptions,
  io: { print(line: string): void },
  { knownTypes }: ProvidersTools,
): number {
  if (sample !== undefined) io.print(sampleOf(sample, knownTypes, json));
  else if (json) io.print(JSON.stringify({ providers: knownTypes.map(toFields) }, null, 2));
  else if (markdown) io.print(providersMarkdown(knownTypes));
  else io.print(tableOf(knownTypes));
  return 0;
}

function sampleOf(type: string, knownTypes: readonly ProviderAdapter[], json: boolean): string {
  const adapter = knownTypes.find(({ id, aliases }) => id === type || aliases?.includes(type) === true);
  if (adapter === undefined) {
    throw new UserError(`there is no type "${type}"; known: ${knownTypes.map(({ id }) => id).join(', ')}`);
  }
  const file = { llm_providers: [adapter.sampleConfig()] };
  return json ? JSON.stringify(file, null, 2) : yamlText(file).trimEnd();
}

function toFields(adapter: ProviderAdapter) {
  return {
    type: adapter.id,
    aliases: adapter.aliases ?? [],
    base_url: adapter.baseUrl,
    needs_key: adapter.needsKey,
    tasks: Object.keys(adapter.tasks),
    streams: streamsOf(adapter),
    docs: adapter.docs,
  };
}

/** Tasks whose answers can be streamed. */
function streamsOf({ tasks }: ProviderAdapter): Task[] {
  return (Object.keys(tasks) as Task[]).filter((task) => tasks[task]?.openStream !== undefined);
}

const TITLES = ['type', 'default address', 'key', 'tasks', 'streams'];

function cellsOf(adapter: ProviderAdapter): string[] {
  return [
    [adapter.id, ...(adapter.aliases ?? [])].join(', '),
    adapter.baseUrl ?? (adapter.inline === true ? 'in the process' : 'none'),
    adapter.needsKey ? 'needed' : 'optional',
    tasksText(adapter),
    streamsOf(adapter)
      .filter((task) => (OPENAI_TASKS as readonly Task[]).includes(task))
      .join(', '),
  ];
}

function tasksText({ tasks }: ProviderAdapter): string {
  const own = OPENAI_TASKS.filter((task) => tasks[task] !== undefined);
  const native = HUGGING_FACE_TASKS.filter((task) => tasks[task] !== undefined).length;
  return [...own, ...(native === 0 ? [] : [`${native} of Hugging Face`])].join(', ');
}

function tableOf(knownTypes: readonly ProviderAdapter[]): string {
  return drawColumns(TITLES, knownTypes.map(cellsOf), []);
}

/** The table of docs/providers.md. */
export function providersMarkdown(knownTypes: readonly ProviderAdapter[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rows = knownTypes.map((adapter) => {
    const [names = '', address = '', ...rest] = cellsOf(adapter);
    const linked = adapter.docs.startsWith('http') ? `[documentation](${adapter.docs})` : '';
    return line([
      names.replaceAll(/[^ ,]+/g, '`$&`'),
      address.startsWith('http') ? `\`${address}\`` : address,
      ...rest,
      linked,
    ]);
  });
  const titles = [...TITLES, 'source'];
  return [line(titles), line(titles.map(() => '---')), ...rows].join('\n');
}
