import type { KnownType } from '../../../src/config/entry-checks.js';
import { type ParseResult, parseConfigText } from '../../../src/config/parse.js';

/** Stand-ins for the adapters: what the config asks of them. */
export const KNOWN_TYPES: readonly KnownType[] = [
  {
    id: 'huggingface',
    needsKey: true,
    baseUrl: 'https://router.huggingface.co/v1',
    checkEntry: ({ baseUrl }) =>
      baseUrl?.includes('api-inference.huggingface.co') === true ? ['this host answers 410 Gone'] : [],
  },
  { id: 'openai', aliases: ['open-ai'], needsKey: true, baseUrl: 'https://api.openai.com/v1' },
  { id: 'openai_compatible', needsKey: false, baseUrl: null },
  { id: 'ollama', needsKey: false, baseUrl: 'http://127.0.0.1:11434' },
  { id: 'claude', aliases: ['anthropic'], needsKey: true, baseUrl: 'https://api.anthropic.com/v1' },
  { id: 'sandbox', needsKey: false, baseUrl: null, inline: true },
];

type Env = Readonly<Record<string, string | undefined>>;

/** Checks a text in an environment that holds only what the test says. */
export function check(text: string, env: Env = {}, files: Readonly<Record<string, string>> = {}): ParseResult {
  return parseConfigText({
    text,
    env,
    knownTypes: KNOWN_TYPES,
    now: Date.parse('2026-06-01T00:00:00Z'),
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) throw Object.assign(new Error(`no file ${path}`), { code: 'ENOENT' });
      return content;
    },
  });
}

/** The problems as `line path: message`, warnings marked. */
export function problemsOf(text: string, env: Env = {}, files: Readonly<Record<string, string>> = {}): string[] {
  return check(text, env, files).problems.map(
    ({ severity, line, path, message }) => `${line} ${path}: ${severity === 'warning' ? 'warning: ' : ''}${message}`,
  );
}

/** A file with one provider, and more below it. */
export function withProvider(rest: string): string {
  return `llm_providers:\n  - { id: one, type: openai, api_keys: [sk-test], model: gpt-4o }\n${rest}`;
}
