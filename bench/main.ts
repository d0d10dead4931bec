/** `npm run bench`: measures Waybill beside a bare proxy. See docs/performance.md. */
import { parseArgs } from 'node:util';
import { measureIdle, measureStart, measureState } from './extremes.js';
import { figureLines, type SingleFigure } from './figures.js';
import { GOALS } from './goals.js';
import { measureReports, measureWrites } from './ledger.js';
import { type Measurement, measure, type Subject } from './measure.js';
import { measureMemory } from './memory.js';
import { type LoadGenerator, type Started, startLoad, startPortkey, startScript, startWaybill } from './processes.js';
import { goalLines, judgeAll, memoryLine, record, type ScenarioResult, summary, table } from './report.js';
import { SCENARIOS, type Scenario } from './scenarios.js';

const USAGE = `Usage: npm run bench -- [all | stream | memory | ledger | report | idle | start | state] [options]

Loads a fixed upstream through a bare node:http + undici proxy and through Waybill, in turns, in one run.
\`ledger\` records requests without an upstream; \`report\` fills a ledger of a month, opens it and reports on it;
\`idle\` keeps 10,000 streams open; \`start\` starts on a full ledger; \`state\` compares a handful with thousands of clients,
keys and models on a full ledger.

  --quick            a few scenarios, short turns: under a minute
  --rounds N         turns of each (3; 2 with --quick)
  --only ID,ID       these scenarios: ${SCENARIOS.map(({ id }) => id).join(', ')}
  --subjects A,B     of direct, bare, waybill
  --portkey FOLDER   with Portkey's gateway as well: npm install --prefix FOLDER @portkey-ai/gateway
  --requests N       for memory and ledger (200000), for report, start and state (1000000)
  --profile DIR      Waybill leaves a CPU profile there (its figures are then not to be compared)
  --json             figures as JSON
  --record           add a line to bench/RESULTS.md
  --help

Exit code 1 when a goal is missed by more than the run's own noise; a quick run only shows the figures.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    profile: { type: 'string' },
    subjects: { type: 'string', default: 'direct,bare,waybill' },
    portkey: { type: 'string' },
    requests: { type: 'string' },
  },
});

const print = (text: string) => void process.stdout.write(`${text}\n`);
const progress = (text: string) => void process.stderr.write(`${text}\n`);

/** Stopped in reverse order at the end, whatever the end is. */
const running: Array<{ stop(): Promise<void> }> = [];

async function keep<T extends { stop(): Promise<void> }>(started: Promise<T>): Promise<T> {
  const kept = await started;
  running.push(kept);
  return kept;
}

async function main(): Promise<number> {
  const suite = positionals[0] ?? 'all';
  if (values.help) {
    print(USAGE);
    return 0;
  }
  if (suite === 'memory') return runMemory(requestsOr(200_000));
  if (suite === 'ledger') return runLedger(measureWrites, requestsOr(200_000));
  if (suite === 'report') return runLedger(measureReports, requestsOr(1_000_000));
  if (suite === 'idle') return runExtreme((options) => measureIdle(options));
  if (suite === 'start') return runExtreme((options) => measureStart(options, requestsOr(1_000_000)));
  if (suite === 'state') return runExtreme((options) => measureState(options, requestsOr(1_000_000), roundsOr(3)));
  if (suite !== 'all' && suite !== 'stream')
    throw new UsageError(`no suite "${suite}"; there are all, stream, memory, ledger, report, idle, start, state`);
  const only = values.only?.split(',') ?? null;
  const chosen = SCENARIOS.filter(({ id, quick, suites }) =>
    only === null ? suites.includes(suite) && (quick || !values.quick) : only.includes(id),
  );
  if (chosen.length === 0) throw new UsageError(`no scenario is called ${values.only}`);
  return runScenarios(chosen);
}

async function runScenarios(scenarios: readonly Scenario[]): Promise<number> {
  const rounds = roundsOr(values.quick ? 2 : 3);
  const timing = values.quick
    ? { firstWarmUpMs: 300, warmUpMs: 300, durationMs: 1000 }
    : { firstWarmUpMs: 5000, warmUpMs: 1000, durationMs: 3000 };
  const { load, upstream, subjects } = await start(values.subjects.split(','));
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    const result: ScenarioResult = { scenario, rounds: {} };
    for (let round = 0; round < rounds; round += 1) {
      // Who goes first changes with the round, so that a machine that slows down does not slow always the same one.
      for (const subject of rotated(subjects.filter(isWanted(scenario)), round)) {
        progress(`${scenario.title}: round ${round + 1} of ${rounds}, ${subject.name}`);
        // A daemon runs for days: what its first seconds cost, while its code is compiled, is nobody's daily figure.
        const warmUpMs = round === 0 ? timing.firstWarmUpMs : timing.warmUpMs;
        const { durationMs } = timing;
        const measured = await measure({ load, upstreamPid: upstream.pid, subject, scenario, warmUpMs, durationMs });
        listOf(result, subject).push(measured);
      }
    }
    results.push(result);
  }
  const goals = judgeAll(results);
  if (values.json) print(JSON.stringify({ rounds, timing, results, goals }, null, 2));
  else print(`\n${table(results)}\n\n${goalLines(goals)}`);
  if (values.record) record(summary(goals));
  // A quick run shows that everything runs; its turns are too short to judge by.
  return !values.quick && goals.some(({ verdict }) => verdict === 'missed') ? 1 : 0;
}

async function runMemory(requests: number): Promise<number> {
  const { load, subjects } = await start(['waybill']);
  const { pid, port } = subjects[0] as Subject;
  const onBatch = (done: number) => progress(`${done} of ${requests} requests`);
  const memory = await measureMemory({ load, pid, port, requests, onBatch });
  print(values.json ? JSON.stringify(memory) : memoryLine(memory));
  if (values.record) record(memoryLine(memory));
  return memory.isMet ? 0 : 1;
}

async function runLedger(run: typeof measureWrites, requests: number): Promise<number> {
  return tell(await run({ requests, progress }), `${requests} requests: `);
}

async function runExtreme(
  run: (options: Parameters<typeof measureIdle>[0]) => Promise<SingleFigure[]>,
): Promise<number> {
  const { load, upstream } = await start([]);
  return tell(await run({ load, upstream, progress }), '');
}

function tell(figures: readonly SingleFigure[], before: string): number {
  const { text, isMet } = figureLines(figures);
  print(values.json ? JSON.stringify({ figures }, null, 2) : `\n${text}`);
  if (values.record) record(before + text.replaceAll(/ +/g, ' ').replaceAll('\n', '; '));
  return isMet ? 0 : 1;
}

function roundsOr(usual: number): number {
  return values.rounds === undefined ? usual : wholeNumber(values.rounds, '--rounds');
}

function requestsOr(usual: number): number {
  return values.requests === undefined ? usual : wholeNumber(values.requests, '--requests');
}

async function start(
  names: readonly string[],
): Promise<{ load: LoadGenerator; upstream: Started; subjects: Subject[] }> {
  const load = await keep(startLoad());
  const upstream = await keep(startScript('upstream', []));
  const origin = `http://127.0.0.1:${upstream.port}`;
  const subjects: Subject[] = [];
  for (const name of names) {
    if (name === 'direct') subjects.push({ name, pid: upstream.pid, port: upstream.port });
    else if (name === 'bare') subjects.push({ name, ...(await keep(startScript('bare-proxy', [origin]))) });
    else if (name === 'waybill')
      subjects.push({
        name,
        ...(await keep(startWaybill({ upstreamPort: upstream.port, profileDirectory: values.profile ?? null }))),
      });
    else throw new UsageError(`no subject "${name}"; there are direct, bare, waybill`);
  }
  if (values.portkey !== undefined && names.length > 0)
    subjects.push(await keep(startPortkey(values.portkey, upstream.port)));
  return { load, upstream, subjects };
}

function listOf(result: ScenarioResult, subject: Subject): Measurement[] {
  const list = result.rounds[subject.name] ?? [];
  result.rounds[subject.name] = list;
  return list;
}

/** Portkey's gateway takes part where there is a goal against it; it would hold up the rest. */
function isWanted(scenario: Scenario): (subject: Subject) => boolean {
  const isAgainst = GOALS.some((goal) => goal.scenario === scenario.id && goal.against === 'portkey');
  return ({ name }) => name !== 'portkey' || isAgainst;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`${option} wants a whole number above zero, not ${text}`);
  return value;
}

class UsageError extends Error {}

async function stopAll(): Promise<void> {
  for (const each of running.splice(0).reverse()) await each.stop();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAll().then(() => process.exit(2)));
}

try {
  process.exitCode = await main();
} catch (error) {
  progress(
    error instanceof UsageError
      ? `${error.message}\n\n${USAGE}`
      : String(error instanceof Error ? error.message : error),
  );
  process.exitCode = 2;
} finally {
  await stopAll();
}
