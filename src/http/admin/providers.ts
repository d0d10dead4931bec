import type { KeyState } from '../../domain/keys.js';
import type { LimitSnapshot } from '../../domain/limit.js';

/** What operators see of one provider entry. */
export interface ProviderStatus {
  id: string;
  name: string;
  type: string;
  /** Why the entry takes no part; null when it does. */
  disabledReason: string | null;
  /** Whether requests may bring a key of their own. */
  takesClientKeys: boolean;
  keys: Array<KeyState & { limits: LimitSnapshot[] }>;
  targets: Array<{
    model: string;
    state: 'closed' | 'open' | 'half-open';
    errorRate: number;
    firstByteMs: number | null;
    inFlight: number;
  }>;
}

/** `GET /api/admin/v1/providers`. */
export function providersAnswer(providers: readonly ProviderStatus[]) {
  return { providers: providers.map(providerObject), next_cursor: null };
}

function providerObject(provider: ProviderStatus) {
  return {
    id: provider.id,
    name: provider.name,
    type: provider.type,
    status: statusOf(provider),
    disabled_reason: provider.disabledReason,
    keys: provider.keys.map((key) => ({
      fingerprint: key.id,
      state: key.state,
      cooling_until: key.until === null ? null : new Date(key.until).toISOString(),
      reason: key.reason,
      remaining_limits: key.limits.map((limit) => ({
        kind: limit.kind,
        window_ms: limit.windowMs,
        limit: limit.limit,
        remaining: limit.remaining,
        reset_ms: limit.resetMs,
      })),
    })),
    models: provider.targets.map((target) => ({
      model: target.model,
      breaker: target.state,
      error_rate: target.errorRate,
      first_byte_ms: target.firstByteMs,
      in_flight: target.inFlight,
    })),
  };
}

function statusOf(provider: ProviderStatus): 'ready' | 'disabled' | 'degraded' | 'cooling' {
  const usable = provider.keys.filter((key) => key.state === 'ready');
  if (provider.disabledReason !== null) return 'disabled';
  const isForOwnKeysOnly = provider.keys.length === 0 && provider.takesClientKeys;
  if (!isForOwnKeysOnly && provider.keys.every((key) => key.state === 'disabled')) return 'disabled';
  if (!isForOwnKeysOnly && usable.length === 0) return 'cooling';
  const isDegraded =
    usable.length < provider.keys.length || provider.targets.some((target) => target.state !== 'closed');
  return isDegraded ? 'degraded' : 'ready';
}
