import type { Metric, Registry } from 'prom-client';
import type { LimitSnapshot } from '../domain/limit.js';
import type { NanoUsd } from '../domain/money.js';
import { USAGE_CLASSES, type Usage } from '../domain/usage.js';
import { Buckets, LabelBound, type Labels, type Sample, SeriesMap } from './series.js';

export interface RequestRecord {
  client: string;
  endpoint: string;
  /** Null when no upstream was chosen. */
  provider: string | null;
  model: string;
  outcome: string;
  status: number;
  durationMs: number;
  /** Null when no byte came. */
  firstByteMs: number | null;
  /** Our own share: the time that was not spent waiting for a provider or for room. Null when nothing was sent. */
  overheadMs: number | null;
}

export interface AttemptRecord {
  provider: string;
  model: string;
  outcome: string;
  /** Null when the provider did not answer. */
  status: number | null;
}

export interface CostRecord {
  client: string;
  provider: string;
  model: string;
  /** Null: the cost is unknown, and the request counts as unpriced. */
  nanoUsd: NanoUsd | null;
}

/** What is read from the running parts whenever somebody scrapes. Each is called once a scrape. */
export interface GaugeSources {
  keyStates(): Iterable<{ provider: string; key: string; state: 'ready' | 'cooling' | 'disabled' }>;
  limits(): Iterable<{ scope: string; limit: LimitSnapshot }>;
  queueDepth(): number;
  /** What is left of each budget; empty where there is none. */
  budgets(): Iterable<{ client: string; remainingNanoUsd: NanoUsd }>;
  configGeneration(): number;
}

export interface Metrics {
  recordRequest(request: RequestRecord): void;
  recordAttempt(attempt: AttemptRecord): void;
  recordUsage(usage: Usage): void;
  recordCost(cost: CostRecord): void;
  /** How long one commit of the ledger took. */
  recordCommit(durationMs: number): void;
  /** Where gauges are read from now on; a reload calls it again. */
  observe(sources: GaugeSources): void;
  /** The exposition in Prometheus' text format. */
  metricsText(): Promise<string>;
  contentType: string;
}

export interface MetricsOptions {
  /** Distinct values each of the labels client, provider and model may have before the rest become `other`. */
  maxLabelValues?: number;
  /** Distinct label sets of one metric before the rest are counted together. */
  maxSeries?: number;
  /** CPU, memory and event loop of the process too; true where absent. Observed from the first reading of the page on. */
  process?: boolean;
}

const DURATION_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const OVERHEAD_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
const COMMIT_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];
const KEY_STATES = ['ready', 'cooling', 'disabled'] as const;
const NO_PROVIDER = 'none';
const NO_STATUS = 'none';

/**
 * The daemon's metrics in a registry of their own. Recording is a look-up and a few additions; everything else happens
 * when the page is read.
 *
 * Cost is summed in bigint and printed as the nearest double, which is what Prometheus holds: exact up to 2^53 nano-USD
 * (9 million USD), and never drifting beyond it. The ledger is where sums are exact without bound.
 */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const offered: MetricSource[] = [];
  const maxValues = options.maxLabelValues ?? 500;
  const max = options.maxSeries ?? 10_000;
  const clients = new LabelBound(maxValues);
  const providers = new LabelBound(maxValues);
  const models = new LabelBound(maxValues);
  let sources: GaugeSources | null = null;

  const requests = new SeriesMap({
    names: ['client', 'endpoint', 'provider', 'model', 'outcome', 'status'],
    max,
    create: () => ({ count: 0 }),
  });
  const timings = new SeriesMap({
    names: ['endpoint', 'provider', 'model'],
    max,
    create: () => ({
      duration: new Buckets(DURATION_S),
      firstByte: new Buckets(DURATION_S),
      overhead: new Buckets(OVERHEAD_S),
    }),
  });
  const attempts = new SeriesMap({
    names: ['provider', 'model', 'outcome', 'status'],
    max,
    create: () => ({ count: 0 }),
  });
  const tokens = new SeriesMap({ names: ['class', 'source'], max, create: () => ({ count: 0 }) });
  const costs = new SeriesMap({
    names: ['client', 'provider', 'model'],
    max,
    create: () => ({ nanoUsd: 0n, unpriced: 0 }),
  });
  const commits = new Buckets(COMMIT_S);

  const counter = (name: string, help: string, samples: () => Iterable<Sample>) =>
    offered.push({ name, help, type: 'counter', samples });
  const gauge = (name: string, help: string, samples: () => Iterable<Sample>) =>
    offered.push({ name, help, type: 'gauge', samples });
  const histogram = (name: string, help: string, all: () => Iterable<{ labels: Labels; buckets: Buckets }>) =>
    offered.push({
      name,
      help,
      type: 'histogram',
      samples: () => [...all()].flatMap(({ labels, buckets }) => buckets.samples(name, labels)),
    });
  const timing = (pick: 'duration' | 'firstByte' | 'overhead') => () =>
    [...timings.entries()].map(({ labels, value }) => ({ labels, buckets: value[pick] }));

  counter('waybill_requests_total', 'Requests answered.', () => countsOf(requests));
  counter('waybill_attempts_total', 'Upstream calls, failed ones too.', () => countsOf(attempts));
  histogram('waybill_request_duration_seconds', 'From arrival to the end of the answer.', timing('duration'));
  histogram('waybill_time_to_first_byte_seconds', 'From arrival to the first byte of the answer.', timing('firstByte'));
  histogram('waybill_overhead_seconds', "The router's own share of a request's time.", timing('overhead'));
  counter('waybill_tokens_total', 'Usage by class, and how it is known.', () => countsOf(tokens));
  counter('waybill_cost_nano_usd_total', 'Known cost in nano-USD (1e-9 USD).', () =>
    [...costs.entries()].map(({ labels, value }) => ({ labels, value: Number(value.nanoUsd) })),
  );
  counter('waybill_unpriced_requests_total', 'Calls whose cost is unknown.', () =>
    [...costs.entries()].flatMap(({ labels, value }) =>
      value.unpriced === 0 ? [] : [{ labels, value: value.unpriced }],
    ),
  );
  gauge('waybill_key_state', 'Provider keys: 1 for the state each is in.', () =>
    [...(sources?.keyStates() ?? [])].flatMap(({ provider, key, state }) =>
      KEY_STATES.map((each) => ({ labels: { provider, key, state: each }, value: each === state ? 1 : 0 })),
    ),
  );
  gauge('waybill_limit_remaining', 'What is left of each limit.', () =>
    [...(sources?.limits() ?? [])].slice(0, max).map(({ scope, limit }) => ({
      labels: { scope, kind: limit.kind, window: limit.windowMs === null ? 'none' : `${limit.windowMs / 1000}s` },
      value: limit.remaining,
    })),
  );
  gauge('waybill_queue_depth', 'Requests waiting for room.', () => sampleOf(sources?.queueDepth()));
  gauge('waybill_budget_remaining_nano_usd', 'What is left of each budget, in nano-USD.', () =>
    [...(sources?.budgets() ?? [])].slice(0, max).map(({ client, remainingNanoUsd }) => ({
      labels: { client },
      value: Number(remainingNanoUsd),
    })),
  );
  histogram('waybill_ledger_commit_seconds', 'One commit of the ledger.', () => [{ labels: {}, buckets: commits }]);
  gauge('waybill_config_generation', 'The configuration in use.', () => sampleOf(sources?.configGeneration()));
  let registry: Promise<Registry> | null = null;

  return {
    recordRequest(request) {
      const client = clients.of(request.client);
      const provider = request.provider === null ? NO_PROVIDER : providers.of(request.provider);
      const model = models.of(request.model);
      const { endpoint, outcome, status } = request;
      requests.at([client, endpoint, provider, model, outcome, status]).count += 1;
      const timed = timings.at([endpoint, provider, model]);
      timed.duration.observe(request.durationMs / 1000);
      if (request.firstByteMs !== null) timed.firstByte.observe(request.firstByteMs / 1000);
      if (request.overheadMs !== null) timed.overhead.observe(request.overheadMs / 1000);
    },
    recordAttempt(attempt) {
      const provider = providers.of(attempt.provider);
      const model = models.of(attempt.model);
      attempts.at([provider, model, attempt.outcome, attempt.status ?? NO_STATUS]).count += 1;
    },
    recordUsage(usage) {
      for (const name of USAGE_CLASSES) {
        const count = usage.counts[name];
        // An explicit zero makes the series appear; what is not known does not.
        if (count !== null) tokens.at([name, usage.source]).count += count;
      }
    },
    recordCost({ client, provider, model, nanoUsd }) {
      const sums = costs.at([clients.of(client), providers.of(provider), models.of(model)]);
      if (nanoUsd === null) sums.unpriced += 1;
      else sums.nanoUsd += nanoUsd;
    },
    recordCommit: (durationMs) => commits.observe(durationMs / 1000),
    observe(next) {
      sources = next;
    },
    async metricsText() {
      registry ??= createRegistry(offered, options.process ?? true);
      return (await registry).metrics();
    },
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
  };
}

function countsOf(series: SeriesMap<{ count: number }>): Sample[] {
  return [...series.entries()].map(({ labels, value }) => ({ labels, value: value.count }));
}

function sampleOf(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ labels: {}, value }];
}

interface MetricSource {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  samples(): Iterable<Sample>;
}

/**
 * Made for the first who reads the page: its modules are a tenth of what a start would load. The registry asks a metric
 * for its name and for `get()`, no more; its types want one of prom-client's own classes.
 */
async function createRegistry(offered: readonly MetricSource[], ofProcess: boolean): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const registry = new Registry();
  for (const { name, help, type, samples } of offered) {
    const metric = { name, help, type, get: async () => ({ name, help, type, values: [...samples()] }) };
    registry.registerMetric(metric as unknown as Metric);
  }
  if (ofProcess) collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return registry;
}
