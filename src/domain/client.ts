import type { LimitScope } from './limit.js';
import type { Access } from './route.js';

/** Who asks: one entry of `api_keys`, or the open mode's single client. */
export interface Client {
  id: string;
  access: Access;
  limits: LimitScope;
  tags: Readonly<Record<string, string>>;
  /** True when a request of unknown cost must be refused. */
  hasBudget: boolean;
}

/** Knows clients by the key they present. */
export interface ClientDirectory {
  /** @throws WaybillError invalid_api_key */
  identify(presentedKey: string | null): Client;
}
