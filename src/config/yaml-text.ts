import { dump } from 'js-yaml';

/** A value as YAML text, in the style of the examples: no line is folded, nothing is named twice. */
export function yamlText(value: unknown): string {
  return dump(value, { lineWidth: -1, noRefs: true });
}
