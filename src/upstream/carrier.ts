/** What carries an exchange: a connection of ours, or undici. */
export interface Carrier {
  pause(): void;
  resume(): void;
  /** Ends the connection at once. The exchange is told nothing more. */
  abort(reason: Error): void;
}
