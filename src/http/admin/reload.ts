import type { HttpContext } from '../context.js';

/** One finding about the file, as operators are shown it. */
export interface ReloadFinding {
  path: string;
  line: number;
  message: string;
}

/** What became of one reload. */
export type ReloadOutcome =
  /** `isNew` is false for content that is in use already: its generation stays. */
  | { kind: 'taken'; isNew: boolean; generation: number; warnings: readonly ReloadFinding[] }
  /** The configuration in use stays. */
  | { kind: 'refused'; errors: readonly ReloadFinding[] };

/** `POST /config/reload`: 200 with the generation in use, 422 with everything that is wrong with the file. */
export function answerReload(ctx: HttpContext, outcome: ReloadOutcome): void {
  if (outcome.kind === 'refused') {
    ctx.status = 422;
    ctx.body = { reloaded: false, errors: outcome.errors };
    return;
  }
  const { isNew, generation, warnings } = outcome;
  ctx.body = { reloaded: isNew, generation, ...(warnings.length === 0 ? {} : { warnings }) };
}
