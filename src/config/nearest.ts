import { distance } from 'fastest-levenshtein';

/** The name that was probably meant, or null when none is near: a third of the letters may differ. */
export function nearest(name: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length * 0.4)) + 1;
  for (const candidate of names) {
    const far = distance(name.toLowerCase(), candidate.toLowerCase());
    if (far < bestDistance && far < Math.max(name.length, 1)) {
      best = candidate;
      bestDistance = far;
    }
  }
  return best;
}

/** `; did you mean \`x\`?`, or the names there are when none is near; empty when there are none. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  if (near !== null) return `; did you mean \`${near}\`?`;
  if (names.length === 0) return '';
  return `; known here: ${names.slice(0, 40).join(', ')}`;
}
