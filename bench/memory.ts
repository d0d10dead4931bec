import { median, RSS_DRIFT_BYTES } from './goals.js';
import { type LoadGenerator, rssBytes } from './processes.js';
import { SCENARIOS } from './scenarios.js';

export interface MemoryResult {
  requests: number;
  /** Resident bytes after each batch. */
  samples: number[];
  /** Median of the last quarter less median of the second. */
  driftBytes: number;
  isMet: boolean;
}

const BATCHES = 40;

/** Sends `requests` chat requests in batches and watches the resident memory of the process that answers them. */
export async function measureMemory(options: {
  load: LoadGenerator;
  pid: number;
  port: number;
  requests: number;
  onBatch(done: number): void;
}): Promise<MemoryResult> {
  const scenario = SCENARIOS.find(({ id }) => id === 'chat-16');
  if (scenario === undefined) throw new Error('the scenario chat-16 is gone');
  const size = Math.ceil(options.requests / BATCHES);
  const samples: number[] = [];
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const { port } = options;
    const { path, body, concurrency } = scenario;
    const result = await options.load.run({ port, path, body, concurrency, durationMs: null, requests: size });
    if (result.errors > 0) throw new Error(`${result.errors} requests failed; first: ${result.firstError}`);
    samples.push(rssBytes(options.pid));
    options.onBatch((batch + 1) * size);
  }
  const quarter = BATCHES / 4;
  const driftBytes = median(samples.slice(-quarter)) - median(samples.slice(quarter, 2 * quarter));
  return { requests: size * BATCHES, samples, driftBytes, isMet: driftBytes <= RSS_DRIFT_BYTES };
}
