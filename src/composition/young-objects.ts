import { setFlagsFromString } from 'node:v8';

/**
 * Keeps V8 from making requests' objects among the old ones. At the beginning of a load its young generation is small, a
 * request outlives it, and V8 takes from that for good that such objects live long: each then waits for a full collection,
 * and so does everything it refers to. To be called before requests come.
 */
export function keepRequestsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
