import {
  ATTEMPT_COLUMNS,
  ATTEMPT_END_COLUMNS,
  type AttemptCells,
  type AttemptEndCells,
  type Cell,
  REQUEST_COLUMNS,
  REQUEST_END_COLUMNS,
  type RequestCells,
  type RequestEndCells,
} from './cells.js';

/**
 * The JSON of cells that stand side by side, kept for the next row: what client, model, provider and outcome a row says is
 * mostly what the row before it said.
 */
class KeptText {
  readonly #first: number;
  readonly #end: number;
  #cells: readonly Cell[] | null = null;
  #text = '';

  constructor(columns: readonly string[], first: string, last: string) {
    this.#first = columns.indexOf(first);
    this.#end = columns.indexOf(last) + 1;
  }

  /** Without the brackets. */
  of(cells: readonly Cell[]): string {
    return this.#cells !== null && this.#isSame(cells, this.#cells) ? this.#text : this.#keep(cells);
  }

  #isSame(cells: readonly Cell[], kept: readonly Cell[]): boolean {
    for (let at = this.#first; at < this.#end; at += 1) if (cells[at] !== kept[at]) return false;
    return true;
  }

  #keep(cells: readonly Cell[]): string {
    this.#text = JSON.stringify(cells.slice(this.#first, this.#end)).slice(1, -1);
    this.#cells = cells;
    return this.#text;
  }
}

/** The JSON of rows that are made one after the other: to the letter what JSON.stringify makes of their cells. */
export class CellTexts {
  readonly #ofRequest = new KeptText(REQUEST_COLUMNS, 'config_generation', 'stream');
  readonly #model = new KeptText(ATTEMPT_COLUMNS, 'provider', 'provider_model');
  readonly #region = new KeptText(ATTEMPT_COLUMNS, 'region', 'region');
  readonly #priceOfEnd = new KeptText(ATTEMPT_END_COLUMNS, 'price_id', 'price_id');
  readonly #outcome = new KeptText(ATTEMPT_END_COLUMNS, 'outcome', 'error_code');
  readonly #unpriced = new KeptText(ATTEMPT_END_COLUMNS, 'unpriced_reason', 'unpriced_reason');
  readonly #source = new KeptText(ATTEMPT_END_COLUMNS, 'provider_cost_usd', 'usage_source');
  readonly #rareCounts = new KeptText(ATTEMPT_END_COLUMNS, 'reasoning', 'search_units');
  readonly #ofRequestEnd = new KeptText(REQUEST_END_COLUMNS, 'outcome', 'decision');
  readonly #priceOfIntent = new KeptText(['price_id'], 'price_id', 'price_id');
  #decision: unknown = null;
  #decisionText = '';

  id(inferenceId: string): string {
    return nameText(inferenceId);
  }

  price(priceId: string | null): string {
    return priceId === null ? 'null' : this.#priceOfIntent.of([priceId]);
  }

  /** Null where there is none. What many requests share is one object, known again by that. */
  decision(decision: unknown): string | null {
    if (decision == null) return null;
    if (decision !== this.#decision) {
      this.#decisionText = JSON.stringify(decision);
      this.#decision = decision;
    }
    return this.#decisionText;
  }

  /** `idText`: the first of the cells as JSON. */
  request(cells: RequestCells, idText: string): string {
    return `[${idText},${numberText(cells[1])},${this.#ofRequest.of(cells)}]`;
  }

  attempt(cells: AttemptCells): string {
    const [attempt, sentAt, , , key, , held, reservedTokens] = cells;
    const begin = `[${numberText(attempt)},${numberText(sentAt)},${this.#model.of(cells)}`;
    const end = `${digitsText(held)},${numberText(reservedTokens)}]`;
    // One of thousands of keys is seldom the one before.
    return `${begin},${nameText(key)},${this.#region.of(cells)},${end}`;
  }

  /** Joined, and so in one piece: it is copied from twice. */
  attemptEnd(cells: AttemptEndCells): string {
    const [, firstByteAt, endedAt, , , , cost, , components, , , input, cachedInput, cacheWrite, output] = cells;
    const texts = [
      this.#priceOfEnd.of(cells),
      numberText(firstByteAt),
      numberText(endedAt),
      this.#outcome.of(cells),
      digitsText(cost),
      this.#unpriced.of(cells),
      JSON.stringify(components),
      this.#source.of(cells),
      numberText(input),
      numberText(cachedInput),
      numberText(cacheWrite),
      numberText(output),
      this.#rareCounts.of(cells),
    ];
    return `[${texts.join(',')}]`;
  }

  requestEnd(cells: RequestEndCells): string {
    return `[${numberText(cells[0])},${this.#ofRequestEnd.of(cells)}]`;
  }
}

/** Most names hold nothing but characters that stand for themselves. Of rows that nobody has looked at yet it may be anything. */
function nameText(name: string | null): string {
  return typeof name === 'string' && /^[\w:.-]*$/.test(name) ? `"${name}"` : JSON.stringify([name]).slice(1, -1);
}

/** Rows that nobody has looked at yet may hold anything here. */
function numberText(value: number | null | undefined): string {
  if (value === null) return 'null';
  return Number.isSafeInteger(value) ? `${value}` : JSON.stringify([value]).slice(1, -1);
}

/** Of an amount: only digits, which need no second look. */
function digitsText(amount: string | null): string {
  return amount === null ? 'null' : `"${amount}"`;
}
