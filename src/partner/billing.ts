import { setImmediate as turn } from 'node:timers/promises';
import { WaybillError } from '../domain/errors.js';
import type { CostsFilter, LedgerReader } from '../domain/ledger.js';
import type { NanoUsd } from '../domain/money.js';

/** The most ids a call may ask for. Source: Hugging Face's partner API, "Billing". */
export const MAX_BILLED_IDS = 10_000;

/** Looked up before others get their turn: a few milliseconds. */
const IDS_AT_ONCE = 500;

/**
 * The `requestIds` of a billing call, each once, in the order asked.
 * @throws WaybillError invalid_request
 */
export function parseRequestIds(body: { [key: string]: unknown }): string[] {
  const { requestIds } = body;
  if (!Array.isArray(requestIds)) refuse('requestIds', 'must be a list of request ids');
  if (requestIds.length > MAX_BILLED_IDS) {
    refuse('requestIds', `holds ${requestIds.length} ids; ${MAX_BILLED_IDS} are the most a call may ask for`);
  }
  const odd = requestIds.findIndex((id) => typeof id !== 'string');
  if (odd !== -1) refuse(`requestIds[${odd}]`, 'must be a text');
  return [...new Set(requestIds as string[])];
}

/**
 * `{"requests": [{"requestId", "costNanoUsd"}]}` as JSON text, in the order asked. Amounts are integers with all their
 * digits. What has no settled, known cost within the filter is left out.
 */
export async function billingAnswer(
  reader: Pick<LedgerReader, 'costsOf'>,
  ids: readonly string[],
  filter: CostsFilter,
): Promise<string> {
  // Looked up in the order of time, which is that of the ids: neighbours stand on the same pages.
  const sorted = [...ids].sort();
  const costs = new Map<string, NanoUsd>();
  for (let start = 0; start < sorted.length; start += IDS_AT_ONCE) {
    if (start > 0) await turn();
    const some = reader.costsOf(sorted.slice(start, start + IDS_AT_ONCE), filter);
    for (const [id, cost] of some) costs.set(id, cost);
  }
  const lines = ids.flatMap((id) => {
    const cost = costs.get(id);
    return cost === undefined ? [] : [`{"requestId":${JSON.stringify(id)},"costNanoUsd":${cost}}`];
  });
  return `{"requests":[${lines.join(',')}]}`;
}

function refuse(param: string, why: string): never {
  throw new WaybillError('invalid_request', { message: `\`${param}\` ${why}`, param });
}
