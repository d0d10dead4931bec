import type { Reply, TokenCounts } from './reply.js';

/** One answered request. */
export interface SandboxLogEntry {
  /** Epoch milliseconds. */
  time: number;
  path: string;
  model: string | null;
  key: string | null;
  status: number;
  tokens: TokenCounts;
}

export interface SandboxKeyStats {
  requests: number;
  prompt_tokens: number;
  completion_tokens: number;
  /** Requests by status. */
  statuses: Record<string, number>;
}

export interface SandboxStats {
  requests: number;
  /** Requests whose caller went away before the end. */
  aborted: number;
  /** A request without a key counts under `none`. */
  by_key: Record<string, SandboxKeyStats>;
  /** The last of them, oldest first. */
  log: SandboxLogEntry[];
}

const LOG_LENGTH = 1000;
const MAX_KEYS = 10_000;

/** Counts what the sandbox was asked, and by which key. */
export class SandboxCounter {
  #requests = 0;
  #aborted = 0;
  #byKey = new Map<string, SandboxKeyStats>();
  #log: SandboxLogEntry[] = [];
  #next = 0;

  count(path: string, key: string | null, reply: Reply): void {
    this.#requests++;
    const stats = this.#statsOf(key ?? 'none');
    stats.requests++;
    stats.prompt_tokens += reply.tokens.prompt;
    stats.completion_tokens += reply.tokens.completion;
    stats.statuses[reply.status] = (stats.statuses[reply.status] ?? 0) + 1;
    const entry = { time: Date.now(), path, model: reply.model, key, status: reply.status, tokens: reply.tokens };
    this.#log[this.#next] = entry;
    this.#next = (this.#next + 1) % LOG_LENGTH;
  }

  countAborted(): void {
    this.#aborted++;
  }

  reset(): void {
    this.#requests = 0;
    this.#aborted = 0;
    this.#byKey = new Map();
    this.#log = [];
    this.#next = 0;
  }

  snapshot(): SandboxStats {
    const log = [...this.#log.slice(this.#next), ...this.#log.slice(0, this.#next)];
    const byKey = Object.fromEntries([...this.#byKey].map(([key, stats]) => [key, structuredClone(stats)]));
    return { requests: this.#requests, aborted: this.#aborted, by_key: byKey, log };
  }

  #statsOf(key: string): SandboxKeyStats {
    let stats = this.#byKey.get(key);
    if (stats === undefined) {
      stats = { requests: 0, prompt_tokens: 0, completion_tokens: 0, statuses: {} };
      // A caller that invents keys must not fill the memory: the rest is counted together.
      if (this.#byKey.size >= MAX_KEYS) return this.#byKey.get('others') ?? this.#add('others', stats);
      this.#add(key, stats);
    }
    return stats;
  }

  #add(key: string, stats: SandboxKeyStats): SandboxKeyStats {
    this.#byKey.set(key, stats);
    return stats;
  }
}
