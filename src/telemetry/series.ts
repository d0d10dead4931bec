/**
 * Counts kept in plain numbers, by label set, and turned into Prometheus samples only when somebody reads them. Adding
 * to a series is one look-up and a few additions; prom-client's own counters hash their labels at each call, which for
 * the ten figures of a request is ten times as much.
 */

export type Labels = Record<string, string>;

/** One sample as prom-client's registry prints it. */
export interface Sample {
  labels: Labels;
  value: number;
  metricName?: string;
}

/** Stands for every value beyond a label's bound. */
export const OTHER = 'other';

/** Lets the first `max` distinct values of a label through, and calls the rest `other`. */
export class LabelBound {
  readonly #max: number;
  readonly #known = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  of(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#max) return OTHER;
    this.#known.add(value);
    return value;
  }
}

/** Values of one kind by label set: at most `max` sets, the rest together in one whose labels all say `other`. */
export class SeriesMap<T> {
  readonly #names: readonly string[];
  readonly #max: number;
  readonly #create: () => T;
  readonly #series = new Map<string, { labels: Labels; value: T }>();

  constructor(options: { names: readonly string[]; max: number; create: () => T }) {
    this.#names = options.names;
    this.#max = options.max;
    this.#create = options.create;
  }

  /** The value of a label set; `key` is its values joined, given so that the way through a known set builds nothing. */
  at(key: string, values: () => readonly string[]): T {
    return (this.#series.get(key) ?? this.#add(key, values())).value;
  }

  *entries(): IterableIterator<{ labels: Labels; value: T }> {
    yield* this.#series.values();
  }

  #add(key: string, values: readonly string[]): { labels: Labels; value: T } {
    const isFull = this.#series.size >= this.#max && key !== OTHER;
    if (isFull)
      return (
        this.#series.get(OTHER) ??
        this.#add(
          OTHER,
          this.#names.map(() => OTHER),
        )
      );
    const labels: Labels = {};
    for (const [index, name] of this.#names.entries()) labels[name] = values[index] ?? OTHER;
    const entry = { labels, value: this.#create() };
    this.#series.set(key, entry);
    return entry;
  }
}

/** A histogram's state: how many observations fell in each bucket, and their sum. */
export class Buckets {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** `bounds` ascend; what is above the last counts in `+Inf`. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count += 1;
    for (let index = 0; index < this.#bounds.length; index += 1) {
      if (value <= (this.#bounds[index] as number)) {
        this.#counts[index] = (this.#counts[index] as number) + 1;
        return;
      }
    }
  }

  samples(name: string, labels: Labels): Sample[] {
    const samples: Sample[] = [];
    let cumulative = 0;
    for (const [index, bound] of this.#bounds.entries()) {
      cumulative += this.#counts[index] as number;
      samples.push({ labels: { ...labels, le: String(bound) }, value: cumulative, metricName: `${name}_bucket` });
    }
    samples.push({ labels: { ...labels, le: '+Inf' }, value: this.#count, metricName: `${name}_bucket` });
    samples.push({ labels, value: this.#sum, metricName: `${name}_sum` });
    samples.push({ labels, value: this.#count, metricName: `${name}_count` });
    return samples;
  }
}
