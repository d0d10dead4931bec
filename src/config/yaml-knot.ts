import { formatPath, type YamlPath } from './yaml-path.js';

export interface Knot {
  path: YamlPath;
  message: string;
}

/** Deeper than any real file, even where aliases stand for values that hold aliases. */
const MAX_DEPTH = 200;

/**
 * The first value that cannot be written out: an alias stands for what it is part of, or aliases within aliases nest it
 * too deeply. Null when there is none. Each value is looked at once, however many aliases lead to it.
 */
export function findKnot(tree: unknown): Knot | null {
  /** Levels below each value that was looked at; null while it is. */
  const heights = new Map<unknown, number | null>();
  let knot: Knot | null = null;

  function heightOf(value: unknown, path: YamlPath): number {
    if (typeof value !== 'object' || value === null || knot !== null) return 0;
    const known = heights.get(value);
    if (known === null) {
      const message = `the value at \`${formatPath(path)}\` contains itself; an alias may not stand for what it is part of`;
      knot = { path, message };
      return 0;
    }
    let height = known ?? 0;
    if (known === undefined) {
      heights.set(value, null);
      const items: Array<[string | number, unknown]> = Array.isArray(value)
        ? [...value.entries()]
        : Object.entries(value);
      for (const [step, item] of items) height = Math.max(height, 1 + heightOf(item, [...path, step]));
      heights.set(value, height);
    }
    if (path.length + height > MAX_DEPTH) {
      knot ??= { path, message: `more than ${MAX_DEPTH} values stand within each other once aliases are written out` };
    }
    return height;
  }

  heightOf(tree, []);
  return knot;
}
