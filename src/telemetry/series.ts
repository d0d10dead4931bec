/**
 * Counts kept in plain numbers, by label set, and turned into Prometheus samples only when somebody reads them. Adding
 * to a series is a few look-ups and additions; prom-client's own counters hash their labels at each call, which for
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

/** A label's value; a number is printed as it is. */
export type LabelValue = string | number;

interface Series<T> {
  labels: Labels;
  value: T;
}

/** The series of a label set, found one label after the other: joined to one text they would be copied and hashed anew. */
type Branch<T> = Map<LabelValue, Branch<T> | Series<T>>;

/** Values of one kind by label set: at most `max` sets, the rest together in one whose labels all say `other`. */
export class SeriesMap<T> {
  readonly #names: readonly string[];
  readonly #max: number;
  readonly #create: () => T;
  readonly #root: Branch<T> = new Map();
  readonly #series: Array<Series<T>> = [];
  #other: Series<T> | null = null;

  constructor(options: { names: readonly string[]; max: number; create: () => T }) {
    this.#names = options.names;
    this.#max = options.max;
    this.#create = options.create;
  }

  /** The value of a label set; `values` in the order of the names, one for each. */
  at(values: readonly LabelValue[]): T {
    let found: Branch<T> | Series<T> | undefined = this.#root;
    for (let nth = 0; nth < values.length; nth += 1) {
      found = (found as Branch<T>).get(values[nth] as LabelValue);
      if (found === undefined) return this.#add(values).value;
    }
    return (found as Series<T>).value;
  }

  entries(): Iterable<{ labels: Labels; value: T }> {
    return this.#series;
  }

  #add(values: readonly LabelValue[]): Series<T> {
    if (this.#series.length >= this.#max) {
      this.#other ??= this.#begin(this.#names.map(() => OTHER));
      return this.#other;
    }
    const series = this.#begin(values);
    let branch = this.#root;
    for (const value of values.slice(0, -1)) {
      const next = branch.get(value) ?? new Map();
      branch.set(value, next);
      branch = next as Branch<T>;
    }
    branch.set(values[values.length - 1] as LabelValue, series);
    return series;
  }

  #begin(values: readonly LabelValue[]): Series<T> {
    const labels: Labels = {};
    for (const [index, name] of this.#names.entries()) labels[name] = String(values[index] ?? OTHER);
    const series = { labels, value: this.#create() };
    this.#series.push(series);
    return series;
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
