import type { Database, Statement } from 'better-sqlite3';
import { type AttemptCells, amount, amountText, type RequestCells } from '../journal/cells.js';
import { type Part, partOf, type RowEntry } from '../journal/row-entry.js';
import { attemptText, type ChainWriter, requestText } from './chain.js';
import type { AttemptFact } from './cuts.js';
import { UnknownRowError } from './entries.js';
import { type AttemptFactSql, toAttemptFact } from './facts.js';
import { attemptFact, type OpenAttempt, type OpenRequest, requestFact, sumOf } from './open-rows.js';
import type { RollupWriter } from './rollup-writer.js';
import { STEP_SQL } from './write-sql.js';

type Statements = { [K in keyof typeof STEP_SQL]: Statement<unknown[]> };

/** Writes what happens to requests as it happens: a row begins in flight, and is changed when it ends. */
export class StepWriter {
  readonly #processId: number;
  readonly #statements: Statements;
  readonly #chain: ChainWriter;
  readonly #rollups: RollupWriter;
  readonly #open = new Map<string, OpenRequest>();

  constructor(db: Database, parts: { processId: number; chain: ChainWriter; rollups: RollupWriter }) {
    this.#processId = parts.processId;
    this.#chain = parts.chain;
    this.#rollups = parts.rollups;
    this.#statements = Object.fromEntries(
      Object.entries(STEP_SQL).map(([name, sql]) => [name, db.prepare<unknown[]>(sql)]),
    ) as Statements;
    this.#statements.findRequest.raw();
    this.#statements.findAttempt.raw();
  }

  /** `id` is that of the request's row, should the entry begin one. */
  begin({ inferenceId, request, attempt, priceId }: RowEntry, id: number): void {
    if (request !== null) this.#insertRequest(id, request, attempt?.cells[0] ?? 0);
    if (attempt !== null) this.#insertAttempt(inferenceId, attempt, priceId);
  }

  #insertRequest(id: number, begin: Part<RequestCells>, attempts: number): void {
    const processId = this.#processId;
    const { changes } = this.#statements.insertRequest.run(id, begin.cells, processId, attempts, 'in_flight');
    // Written before: the first one stands.
    if (changes === 0) return;
    const [inferenceId] = begin.cells;
    this.#open.set(inferenceId, { id, processId, begin, attempts, outcome: 'in_flight', sent: new Map() });
  }

  #insertAttempt(inferenceId: string, begin: Part<AttemptCells>, priceId: string | null): void {
    const request = this.#requestOf(inferenceId);
    const { changes } = this.#statements.insertAttempt.run(request.id, begin.cells, priceId, 'in_flight');
    const [attempt] = begin.cells;
    if (changes === 1) {
      // Its end has been told and added up: a call that came after it would be seen by nobody.
      if (request.outcome !== 'in_flight') throw new UnknownRowError(`request ${inferenceId} has ended`);
      request.sent.set(attempt, { begin });
    }
    if (attempt <= request.attempts) return;
    this.#statements.countAttempt.run(attempt, request.id);
    request.attempts = attempt;
  }

  endAttempt({ inferenceId, endedAttempt: attempt, attemptEnd: end }: RowEntry): void {
    if (end === null) return;
    const request = this.#requestOf(inferenceId);
    const open = this.#attemptOf(request, attempt);
    const isLate = request.outcome !== 'in_flight';
    const before = isLate ? this.#readFacts(request) : [];
    const { changes } = this.#statements.settleAttempt.run(end.cells, request.id, attempt);
    // Settled before: the first settlement stands.
    if (changes === 0) return;
    open.fact = attemptFact(open.begin.cells, end.cells);
    if (isLate) {
      // Its request was added up without it.
      const fact = requestFact(request.begin.cells, request.outcome);
      this.#rollups.add(fact, before, -1);
      this.#rollups.add(fact, this.#readFacts(request));
    }
    const row = { requestId: request.id, attempt, adjustment: 0 };
    this.#chain.add(receivedAt(request), row, attemptText(request.id, { begin: open.begin, end }));
  }

  endRequest({ inferenceId, requestEnd: end }: RowEntry): void {
    if (end === null) return;
    const request = this.#requestOf(inferenceId);
    const facts = this.#factsOf(request);
    const cost = amountText(amount(sumOf(facts)));
    const { changes } = this.#statements.settleRequest.run(end.cells, cost, request.id);
    if (changes === 0) return;
    request.outcome = end.cells[1];
    this.#rollups.add(requestFact(request.begin.cells, request.outcome), facts);
    const { id, processId, attempts, begin } = request;
    const text = requestText({ processId, attempts, cost, begin, end });
    this.#chain.add(receivedAt(request), { requestId: id, attempt: 0, adjustment: 0 }, text);
  }

  /** The attempts of a request in order, from memory where all of them are known to have ended. */
  #factsOf(request: OpenRequest): AttemptFact[] {
    const facts: AttemptFact[] = [];
    for (let attempt = 1; attempt <= request.attempts; attempt += 1) {
      const fact = request.sent.get(attempt)?.fact;
      if (fact === undefined) return this.#readFacts(request);
      facts.push(fact);
    }
    return facts;
  }

  #readFacts(request: OpenRequest): AttemptFact[] {
    return (this.#statements.attemptFacts.all(request.id) as AttemptFactSql[]).map(toAttemptFact);
  }

  #requestOf(inferenceId: string): OpenRequest {
    const known = this.#open.get(inferenceId);
    if (known !== undefined) return known;
    const row = this.#statements.findRequest.get(inferenceId) as
      | [number, number, number, OpenRequest['outcome'], ...RequestCells]
      | undefined;
    if (row === undefined) throw new UnknownRowError(`request ${inferenceId} has no intent`);
    const [id, processId, attempts, outcome, ...cells] = row;
    return { id, processId, attempts, outcome, begin: partOf(cells), sent: new Map() };
  }

  #attemptOf(request: OpenRequest, attempt: number): OpenAttempt {
    const known = request.sent.get(attempt);
    if (known !== undefined) return known;
    const cells = this.#statements.findAttempt.get(request.id, attempt) as AttemptCells | undefined;
    if (cells === undefined) throw new UnknownRowError(`attempt ${attempt} of ${request.begin.cells[0]} has no intent`);
    return { begin: partOf(cells) };
  }

  /** What a transaction that failed said of these is not so: they are read again when they are needed. */
  forget(entries: readonly RowEntry[]): void {
    for (const { inferenceId } of entries) this.#open.delete(inferenceId);
  }

  forgetSettled(entries: readonly RowEntry[]): void {
    for (const { inferenceId, requestEnd } of entries) {
      if (requestEnd !== null) this.#open.delete(inferenceId);
    }
  }
}

function receivedAt({ begin }: OpenRequest): number {
  return begin.cells[1];
}
