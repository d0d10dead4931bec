import { writeObject } from './json-text.js';

/** JSON text that goes into other JSON as it stands, so that numbers beyond 2^53 inside it survive. */
export class RawJson {
  readonly text: string;

  /** `text` must be valid JSON. */
  constructor(text: string) {
    this.text = text;
  }
}

/** A value with texts of its own inside. Members that are undefined are left out. */
export type Writable =
  | RawJson
  | string
  | number
  | boolean
  | null
  | readonly Writable[]
  | { readonly [key: string]: Writable | undefined };

/** As `JSON.stringify`, with each `RawJson` as it stands. Members that are undefined are left out; items are null. */
export function writeJson(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members: Array<[string, string]> = [];
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) members.push([key, writeJson(member)]);
  }
  return writeObject(members);
}
