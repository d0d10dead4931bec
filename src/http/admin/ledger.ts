import type { LedgerVerification } from '../../domain/ledger.js';
import type { AdminAnswer } from './reports.js';

/**
 * `POST /ledger/verify`: `{ok, checked, differences: [{inference_id, attempt, hour, problem}]}`. 200 also when something
 * differs: the question was answered.
 */
export async function verificationAnswer(verify: () => Promise<LedgerVerification>): Promise<AdminAnswer> {
  const { ok, checked, differences } = await verify();
  const body = JSON.stringify({
    ok,
    checked,
    differences: differences.map(({ inferenceId, attempt, hour, problem }) => ({
      inference_id: inferenceId,
      attempt,
      hour,
      problem,
    })),
  });
  return { status: 200, contentType: 'application/json; charset=utf-8', body };
}
