import type { Outcome } from '../../domain/ledger.js';
import type { UsageSource } from '../../domain/usage.js';

/** What a request says of the cut that it is counted in. */
export interface RequestCut {
  client: string;
  model: string;
  endpoint: string;
  task: string;
  region: string | null;
  outcome: Outcome;
}

/** What an attempt says of it. */
export interface AttemptCut {
  provider: string;
  provider_model: string;
  key: string | null;
  region: string | null;
  outcome: Outcome;
  usage_source: UsageSource | null;
  error_code: string | null;
  /** Id of the price that made the cost. */
  price: string | null;
}

interface Named {
  name: string;
  /** What it says. Texts of its own: those of facts may have been cut out of longer ones, which they would keep. */
  columns: ReadonlyArray<string | null>;
}

/** The place of the key in a name. */
const KEY = 7;
/** Beyond so many keys the names are made anew. */
const MOST_KEPT = 4_096;

/**
 * Names of cuts, each kept for the next facts that are the same, by the key of the call: with thousands of keys the call
 * before was made with another. A name that comes again is the same string, which is found again without reading it.
 */
export class CutNames {
  readonly #byKey = new Map<string | null, Named>();

  /** How many are kept. */
  get size(): number {
    return this.#byKey.size;
  }

  of(request: RequestCut, attempt: AttemptCut | null): string {
    const known = this.#byKey.get(attempt === null ? null : attempt.key);
    if (known !== undefined && isNamed(known, request, attempt)) return known.name;
    const name = cutName(request, attempt);
    const columns = JSON.parse(name) as Array<string | null>;
    if (this.#byKey.size >= MOST_KEPT) this.#byKey.clear();
    this.#byKey.set(columns[KEY] ?? null, { name, columns });
    return name;
  }
}

/** Whether it is the name of these facts, told without making it. */
function isNamed({ columns }: Named, request: RequestCut, attempt: AttemptCut | null): boolean {
  return (
    columns[0] === request.client &&
    columns[1] === request.model &&
    columns[2] === request.endpoint &&
    columns[3] === request.task &&
    columns[4] === request.outcome &&
    columns[8] === (attempt?.region ?? request.region) &&
    (attempt === null ? columns[10] === null : isNamedCall(columns, attempt))
  );
}

function isNamedCall(columns: Named['columns'], attempt: AttemptCut): boolean {
  return (
    columns[5] === attempt.provider &&
    columns[6] === attempt.provider_model &&
    columns[KEY] === attempt.key &&
    columns[9] === attempt.usage_source &&
    columns[10] === attempt.outcome &&
    columns[11] === attempt.error_code &&
    columns[12] === attempt.price
  );
}

function cutName(request: RequestCut, attempt: AttemptCut | null): string {
  return JSON.stringify([
    request.client,
    request.model,
    request.endpoint,
    request.task,
    request.outcome,
    attempt?.provider ?? null,
    attempt?.provider_model ?? null,
    attempt?.key ?? null,
    attempt?.region ?? request.region,
    attempt?.usage_source ?? null,
    attempt?.outcome ?? null,
    attempt?.error_code ?? null,
    attempt?.price ?? null,
  ]);
}
