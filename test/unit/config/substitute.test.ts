// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { describe, expect, it } from 'vitest';
import { check, problemsOf, withProvider } from './known-types.js';

/** The provider's name out of a file in which it is written like this. */
function nameFrom(
  written: string,
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): string | undefined {
  const text = withProvider('').replace('id: one', () => `id: one, name: ${JSON.stringify(written)}`);
  return check(text, env, files).config?.providers[0]?.name;
}

describe('references in strings', () => {
  it.each([
    ['${A}', 'x'],
    ['a-${A}-${B}', 'a-x-y'],
    ['${NOPE:-d}', 'd'],
    ['${EMPTY:-d}', 'd'],
    ['${A:-d}', 'x'],
    ['${NOPE:-}end', 'end'],
    ['${NOPE:-${A}}', 'x'],
    ['${NOPE:-http://h:1/{p}}', 'http://h:1/{p}'],
    ['${env.NOPE:=d}', 'd'],
    ['${env.A:=d}', 'x'],
    ['${env.A}', 'x'],
    ['${file:/run/secrets/x}', 'from file'],
    ['<${file:/run/secrets/crlf}>', '<two\nlines>'],
    ['$${A}', '${A}'],
    ['$$${A}', '$${A}'],
    ['$A costs 5$', '$A costs 5$'],
  ])('%s becomes %s', (written, expected) => {
    const files = { '/run/secrets/x': 'from file\n', '/run/secrets/crlf': 'two\nlines\r\n' };
    expect(nameFrom(written, { A: 'x', B: 'y', EMPTY: '' }, files)).toBe(expected);
  });

  it('are read as the kind of value the key has', () => {
    const text = withProvider('policy: { retry: { max_attempts: "${N}" }, fallback: { enabled: "${F}" } }\n');
    const { config } = check(text, { N: '7', F: 'false' });
    expect(config?.policy.retry.maxAttempts).toBe(7);
    expect(config?.policy.fallback.enabled).toBe(false);
  });

  it('are not replaced a second time in what a variable holds', () => {
    expect(nameFrom('${A}', { A: '${B}', B: 'no' })).toBe('${B}');
  });

  it.each([
    ['${NOPE}', 'environment variable NOPE is not set; set it, or give a default: `${NOPE:-default}`'],
    ['${file:/missing}', 'file /missing cannot be read (ENOENT)'],
    ['${A', 'cannot read `${A`'],
    ['${}', 'cannot read `${}`'],
    ['${A:?x}', 'cannot read `${A:?x}`'],
    ['${vault:secret/data/hf#key}', 'Vault references are not active yet'],
    ['${constructor}', 'environment variable constructor is not set'],
  ])('%s is an error that says so, once', (written, message) => {
    const text = withProvider(`api_keys:\n  - id: c\n    key: ${JSON.stringify(written)}\n`);
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`5 api_keys[0].key: `);
    expect(problems[0]).toContain(message);
  });

  it('never put the content of a variable into a message', () => {
    const text = withProvider('policy: { retry: { max_attempts: "${TOKEN}" } }\n');
    expect(problemsOf(text, { TOKEN: 'hf_secret' })).toEqual([
      '3 policy.retry.max_attempts: expected a whole number from 1 to 20, got `${TOKEN}`',
    ]);
  });
});

describe('provider keys that resolve to nothing', () => {
  const text = (keys: string) => `llm_providers:\n  - id: hf\n    type: huggingface\n    api_keys: ${keys}\n`;

  it('are left out with a warning, and the rest is used', () => {
    const { config, problems } = check(text('["${A}", "${NOPE}", { key: "${NOPE}" }, "${EMPTY}"]'), {
      A: 'x',
      EMPTY: '',
    });
    expect(config?.providers[0]).toMatchObject({ disabledReason: null, keys: [{ weight: 1 }] });
    expect(problems.map(({ severity, path }) => `${severity} ${path}`)).toEqual([
      'warning llm_providers[0].api_keys[1]',
      'warning llm_providers[0].api_keys[2].key',
      'warning llm_providers[0].api_keys[3]',
    ]);
  });

  it('disable a provider that has no other, and one warning says both', () => {
    const { config, problems } = check(text('["${HF_TOKEN}"]'));
    expect(config?.providers[0]).toMatchObject({ disabledReason: 'no API key', keys: [] });
    expect(problems).toEqual([
      {
        severity: 'warning',
        path: 'llm_providers[0].api_keys[0]',
        line: 4,
        message:
          'environment variable HF_TOKEN is not set; set it, or give a default: `${HF_TOKEN:-default}`; ' +
          'this key is left out, and provider `hf`, which has no other, is disabled',
      },
    ]);
  });

  it('disable a provider whose list is empty or absent', () => {
    expect(problemsOf(text('[]'))).toEqual([
      '4 llm_providers[0].api_keys: warning: no key is given, so provider `hf` is disabled',
    ]);
  });

  it('disable a provider that could do without a key too: it was not meant to', () => {
    const { config } = check(text('["${NOPE}"]').replace('huggingface', 'ollama'));
    expect(config?.providers[0]).toMatchObject({ disabledReason: 'no API key', keys: [] });
  });

  it('are errors where the reference itself is wrong', () => {
    expect(problemsOf(text('["${vault:x}"]'))[0]).toMatch(/^4 llm_providers\[0\]\.api_keys\[0\]: cannot read/);
  });
});
