import { AdapterError, WaybillError } from '../../domain/errors.js';
import { ADAPTER_FAILED } from '../../domain/failure.js';
import type { AnswerFault } from '../../domain/provider.js';

/** Told of what a function threw where the request goes on without it. Must not throw. */
export type OnThrow = (message: string) => void;

/** Calls functions of one adapter, and says which failed. */
export class Guard {
  readonly #type: string;
  readonly #onThrow: OnThrow;

  constructor(type: string, onThrow: OnThrow) {
    this.#type = type;
    this.#onThrow = onThrow;
  }

  /** For what is needed to send. @throws AdapterError for a failure; WaybillError as the function threw it */
  must<T>(name: string, call: () => T): T {
    try {
      return call();
    } catch (cause) {
      if (cause instanceof WaybillError) throw cause;
      throw new AdapterError(this.#said(name, cause), { cause });
    }
  }

  /** For what reads an answer: the fault that the answer is then. */
  read<T>(name: string, call: () => T, onFault: (fault: AnswerFault) => T): T {
    try {
      return call();
    } catch (cause) {
      const none = { status: null, type: null, param: null };
      return onFault({ kind: 'malformed', code: ADAPTER_FAILED, message: this.#said(name, cause), ...none });
    }
  }

  /** For what can be done without. */
  may<T>(name: string, call: () => T, instead: (message: string) => T): T {
    try {
      return call();
    } catch (cause) {
      const message = this.#said(name, cause);
      this.#onThrow(message);
      return instead(message);
    }
  }

  #said(name: string, cause: unknown): string {
    return `the adapter ${this.#type} failed in ${name}: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
