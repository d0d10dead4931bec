/** What stands in a request's decision that was answered from the cache: whose answer it got. */
export interface CacheHit {
  cache_hit: { inference_id: string; provider: string | null; model: string | null };
}

/** True for the decision of a request that was answered from the cache. */
export function isCacheHit(decision: unknown): boolean {
  return typeof decision === 'object' && decision !== null && 'cache_hit' in decision;
}
