import type { LimitAsk, LimitOption } from '../domain/limit.js';
import type { HeldReservation } from './reservation.js';

/** A request that waits: in line until it is granted or fails, done once its caller has the outcome. */
export class Ticket {
  readonly ask: LimitAsk;
  /** The options it fits into at all. */
  readonly options: readonly LimitOption[];
  readonly deadline: number;
  /** Resolves when it is granted; rejects when it leaves the line without. */
  readonly outcome: Promise<HeldReservation>;
  /** Order of arrival. */
  readonly nth: number;
  /** Tickets that ask for the same scopes wait one behind the other. */
  readonly flow: string;
  grant!: (reservation: HeldReservation) => void;
  fail!: (reason: unknown) => void;

  constructor(fields: { ask: LimitAsk; options: readonly LimitOption[]; deadline: number; nth: number }) {
    this.ask = fields.ask;
    this.options = fields.options;
    this.deadline = fields.deadline;
    this.nth = fields.nth;
    this.flow = JSON.stringify(fields.options.map((option) => option.scopes.map((scope) => scope.id)));
    this.outcome = new Promise((resolve, reject) => {
      this.grant = resolve;
      this.fail = reject;
    });
  }
}

/** The tickets of one client in one line: a first-in-first-out row for each set of scopes asked for. */
class ClientRows {
  readonly rows = new Map<string, Set<Ticket>>();
  /** The round in which it is its turn. */
  turn: number;
  /** Order among those with the same turn. */
  since: number;

  constructor(turn: number, since: number) {
    this.turn = turn;
    this.since = since;
  }

  /** The foremost ticket of each row, oldest first. */
  heads(): Ticket[] {
    const heads: Ticket[] = [];
    for (const row of this.rows.values()) {
      for (const ticket of row) {
        heads.push(ticket);
        break;
      }
    }
    return heads.length > 1 ? heads.sort((one, other) => one.nth - other.nth) : heads;
  }
}

/** Turns of clients that left are remembered until their round has come; looked through when there are so many. */
const KEPT_TURNS = 1_000;

/**
 * Those who wait for the same thing. Clients take turns in rounds, one request a round. One that comes to the line has
 * its turn in the round that is under way, before those who were served in it already, but not twice in one round.
 */
export class Line {
  readonly #clients = new Map<string, ClientRows>();
  readonly #turnsOfThoseWhoLeft = new Map<string, number>();
  /** Whose turn it is, in order; sorted when it is used. */
  readonly #order: ClientRows[] = [];
  #isSorted = true;
  #round = 0;
  #moves = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  join(ticket: Ticket): void {
    const name = ticket.ask.client;
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = new ClientRows(Math.max(this.#round, this.#turnsOfThoseWhoLeft.get(name) ?? 0), this.#nextMove());
      this.#clients.set(name, client);
      this.#order.push(client);
    }
    const row = client.rows.get(ticket.flow);
    if (row === undefined) client.rows.set(ticket.flow, new Set([ticket]));
    else row.add(ticket);
    this.#length += 1;
  }

  /** Takes a ticket out wherever it stands; false when it is not in line. */
  leave(ticket: Ticket): boolean {
    const client = this.#clients.get(ticket.ask.client);
    const row = client?.rows.get(ticket.flow);
    if (client === undefined || row === undefined || !row.delete(ticket)) return false;
    if (row.size === 0) client.rows.delete(ticket.flow);
    if (client.rows.size === 0) this.#forget(ticket.ask.client, client);
    this.#length -= 1;
    return true;
  }

  /**
   * Offers the turn to one client after the other until nobody takes it. `serve` returns true when the ticket was
   * served. Returns true when anybody was.
   */
  serveAround(serve: (ticket: Ticket) => boolean): boolean {
    let anyServed = false;
    for (let isServing = true; isServing; anyServed ||= isServing) {
      isServing = false;
      // A copy, as those who are served leave their place in it.
      for (const client of [...this.#inOrder()]) {
        const served = client.heads().find(serve);
        if (served === undefined) continue;
        isServing = true;
        this.#round = Math.max(this.#round, client.turn);
        client.turn = this.#round + 1;
        client.since = this.#nextMove();
        this.leave(served);
      }
    }
    return anyServed;
  }

  *tickets(): Generator<Ticket> {
    for (const client of this.#clients.values()) {
      for (const row of client.rows.values()) yield* row;
    }
  }

  #inOrder(): readonly ClientRows[] {
    // Nearly sorted always, which makes it a matter of one look at each.
    if (!this.#isSorted) this.#order.sort((one, other) => one.turn - other.turn || one.since - other.since);
    this.#isSorted = true;
    return this.#order;
  }

  #nextMove(): number {
    this.#isSorted = false;
    this.#moves += 1;
    return this.#moves;
  }

  #forget(name: string, client: ClientRows): void {
    this.#clients.delete(name);
    this.#order.splice(this.#order.indexOf(client), 1);
    if (client.turn > this.#round) this.#turnsOfThoseWhoLeft.set(name, client.turn);
    if (this.#turnsOfThoseWhoLeft.size <= KEPT_TURNS) return;
    for (const [other, turn] of this.#turnsOfThoseWhoLeft) {
      if (turn <= this.#round) this.#turnsOfThoseWhoLeft.delete(other);
    }
  }
}
