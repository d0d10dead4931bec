import type { UpstreamClient } from '../../src/domain/upstream.js';
import { totalInput, totalOutput, type UsageReport } from '../../src/domain/usage.js';
import { type AskOutcome, ask, requestOf } from './ask.js';
import { casesOf, type LiveCase } from './cases.js';
import { type LiveEntry, NotReadyError } from './entry.js';
import { toFixture, writeFixture } from './fixture.js';
import { modelFor } from './models.js';
import { followLive } from './prediction.js';
import { redact } from './redact.js';

export interface LiveRun {
  entry: LiveEntry;
  /** By task. */
  models: ReadonlyMap<string, string>;
  /** Names of cases, or of tasks where no case has that name; empty for all. */
  only: readonly string[];
  /** Folder for fixtures; null writes none. */
  out: string | null;
  /** How long a prediction is followed. */
  followMs: number;
  client: UpstreamClient;
}

/** How long a prediction is followed unless told. */
export const FOLLOW_SECONDS = 120;
/** The longest timer there is: more would be none. */
const MOST_SECONDS = 2_147_483;

/** @throws NotReadyError for what is no length of time */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds > 0 && seconds <= MOST_SECONDS) return seconds;
  throw new NotReadyError(`--follow ${text}: give seconds, more than 0 and no more than ${MOST_SECONDS}`);
}

type Result = { word: 'ok' | 'refused' | 'FAILED' | 'not tried'; text: string };

/**
 * Tries every case, one after another, and prints a line for each.
 * @returns the exit code: 0 when nothing failed and nothing was left out
 */
export async function runLive(run: LiveRun, print: (line: string) => void): Promise<0 | 1> {
  const { entry, only } = run;
  const all = casesOf(entry.adapter);
  const names = new Set(all.map(({ name }) => name));
  const isWanted = ({ name, task }: LiveCase) => only.includes(name) || (only.includes(task) && !names.has(task));
  const cases = only.length === 0 ? all : all.filter(isWanted);
  if (cases.length === 0) {
    const known = [...new Set(all.flatMap(({ name, task }) => [task, name]))].join(', ');
    throw new NotReadyError(`--only ${only.join(' --only ')}: ${entry.adapter.id} has ${known}`);
  }
  const counts = { ok: 0, refused: 0, FAILED: 0, 'not tried': 0 };
  for (const live of cases) {
    const { word, text } = await tryCase(run, live);
    counts[word] += 1;
    print(`${word.padEnd(9)}  ${live.name}: ${redact(text, entry.secrets)}`);
  }
  const unasked = Object.keys(entry.adapter.tasks).filter((task) => all.every((live) => live.task !== task));
  if (only.length === 0 && unasked.length > 0)
    print(`not asked  ${unasked.join(', ')}: there is no request of it here`);
  print(
    `${entry.adapter.id}: ${Object.entries(counts)
      .map(([word, count]) => `${count} ${word}`)
      .join(', ')}`,
  );
  return counts.FAILED + counts['not tried'] === 0 ? 0 : 1;
}

async function tryCase({ entry, models, out, followMs, client }: LiveRun, live: LiveCase): Promise<Result> {
  const model = modelFor(entry.adapter, live.task, models);
  if (model === null) return { word: 'not tried', text: `no model is known: --model ${live.task}=ID` };
  const outcome: AskOutcome = await ask(entry, live, model, client);
  if (outcome.kind === 'refused') return { word: 'refused', text: `by the adapter: ${outcome.message}` };
  if (outcome.kind === 'failed') return { word: 'FAILED', text: `${model}: ${outcome.message}` };
  const { exchange } = outcome;
  const { reading, problems } = await followLive(entry, exchange, requestOf(live, model), client, followMs);
  const all = reading === null ? problems : [...problems, ...(reading.usage?.problems ?? []), ...live.check(reading)];
  if (all.length > 0) return { word: 'FAILED', text: `${model}: ${all.join('; ')}` };
  const where = out === null ? '' : `, ${writeFixture(out, toFixture(exchange, entry))}`;
  return { word: 'ok', text: `${model}, ${usageText(reading?.usage ?? null)}${where}` };
}

function usageText(usage: UsageReport | null): string {
  if (usage === null) return 'no usage reported';
  const { images, audioMs, searchUnits } = usage.counts;
  const figures = { input: totalInput(usage.counts), output: totalOutput(usage.counts), images, audioMs, searchUnits };
  const known = Object.entries(figures).filter(([, count]) => count !== null);
  return known.map(([name, count]) => `${name} ${count}`).join(' ');
}
