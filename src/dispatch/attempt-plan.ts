import type { RoutedRequest } from '../domain/dispatch.js';
import type { ProviderKey } from '../domain/keys.js';
import type { Reservation } from '../domain/limit.js';
import type { CountedInput } from '../domain/metering.js';
import type { Payload, TaskHelper, UpstreamRoute, UpstreamTarget } from '../domain/provider.js';
import type { Target } from '../domain/route.js';

/** What a target's adapter made of a request: the same for every attempt on it. */
export interface Prepared {
  /** The target as this request sees it: with an output bound of its own where its budget needs one. */
  upstream: UpstreamTarget;
  helper: TaskHelper;
  route: UpstreamRoute;
  payload: Payload;
}

/** One upstream call about to be made: a target, a key with room, a number. */
export interface AttemptPlan {
  request: RoutedRequest;
  target: Target;
  /** The target as this request sees it: with an output bound of its own where its budget needs one. */
  upstream: UpstreamTarget;
  prepared: Prepared;
  /** The input as it was counted for a limit or a budget; null when it was not. */
  counted: () => number | null;
  key: ProviderKey;
  reservation: Reservation;
  /** True from when any of the request may have left: before, it cost nothing, however it ends. */
  wasSent: boolean;
  /** From 1. */
  attempt: number;
  sentAt: number;
  /** Until the first byte, or for a stream the first content. */
  firstByteMs: number;
  input: () => CountedInput;
}
