/** Where a value stands in a YAML document: keys and list positions from the root. */
export type YamlPath = ReadonlyArray<string | number>;

const PLAIN_KEY = /^[A-Za-z_][\w-]*$/;

/** `['llm_providers', 0, 'id']` → `llm_providers[0].id`; a key with other characters is quoted: `model_aliases["gpt-4.1"]`. */
export function formatPath(path: YamlPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!PLAIN_KEY.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** The lines (from 1) of every key and list entry of a document. */
export class LineMap {
  readonly #lines = new Map<string, number>();

  set(path: YamlPath, line: number): void {
    this.#lines.set(formatPath(path), line);
  }

  /** The line of a value, or of its nearest parent that is in the file; 1 for the document. */
  lineOf(path: YamlPath): number {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(formatPath(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }
}

/** A finding before its path has been turned into text and line. */
export interface Finding {
  severity: 'error' | 'warning';
  path: YamlPath;
  message: string;
  /** Where it is not the line of the path. */
  line?: number;
}

export function errorAt(path: YamlPath, message: string): Finding {
  return { severity: 'error', path, message };
}

export function warningAt(path: YamlPath, message: string): Finding {
  return { severity: 'warning', path, message };
}
