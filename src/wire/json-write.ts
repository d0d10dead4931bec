import { writeObject } from './json-text.js';

/** A value that is JSON text already, and goes out as it stands: integers beyond 2^53 survive. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The JSON text of a value that may hold `RawJson` anywhere. Members that are undefined are left out. */
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
