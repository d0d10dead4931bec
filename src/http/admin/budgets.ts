import type { BudgetState } from '../../domain/budget.js';

/** `GET /api/admin/v1/budgets`, as JSON text: amounts are integers that a double may not hold. */
export function budgetsAnswer(states: readonly BudgetState[]): string {
  const budgets = states.map(({ client, budgetNanoUsd, spentNanoUsd, heldNanoUsd, leftNanoUsd, resetsAt }) => {
    const resets = resetsAt === null ? 'null' : JSON.stringify(new Date(resetsAt).toISOString());
    const amounts = `"spent_nano_usd":${spentNanoUsd},"held_nano_usd":${heldNanoUsd},"left_nano_usd":${leftNanoUsd}`;
    return `{"client":${JSON.stringify(client)},"budget_nano_usd":${budgetNanoUsd},${amounts},"resets_at":${resets}}`;
  });
  return `{"budgets":[${budgets.join(',')}],"next_cursor":null}`;
}
