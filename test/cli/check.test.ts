// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkCommand } from '../../src/commands/check.js';
import { schemaCommand } from '../../src/commands/schema.js';
import type { KnownType } from '../../src/config/entry-checks.js';
import { noModules } from '../support/no-modules.js';

const KNOWN_TYPES: readonly KnownType[] = [
  {
    id: 'huggingface',
    needsKey: true,
    baseUrl: 'https://router.huggingface.co/v1',
    checkEntry: ({ baseUrl }) => (baseUrl?.includes('api-inference') === true ? ['this host answers 410 Gone'] : []),
  },
  { id: 'openai', needsKey: true, baseUrl: 'https://api.openai.com/v1' },
];

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-check-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function run(text: string | null, options: { json?: boolean; env?: Record<string, string> } = {}) {
  const file = join(directory, 'config.yaml');
  if (text !== null) writeFileSync(file, text);
  const written = { out: '', err: '' };
  const code = await checkCommand({
    file,
    json: options.json ?? false,
    knownTypes: KNOWN_TYPES,
    loadModule: noModules,
    env: options.env ?? {},
    cwd: directory,
    out: { write: (chunk) => (written.out += chunk) },
    err: { write: (chunk) => (written.err += chunk) },
  });
  return { code, file, ...written };
}

const GOOD = `llm_providers:
  - id: hf
    type: huggingface
    api_keys: [hf_secret]
    model: llama
    models:
      - { id: llama, provider_model: meta/llama, tasks: [chat], pricing: { input_token_cost: 0.0000002, output_token_cost: 0.0000006 } }
      - { id: half, tasks: [chat], pricing: { input_token_cost: 0.0000002 } }
      - { id: free }
  - { id: off, type: openai, api_keys: ["\${NOPE}"], pricing: { image_cost: 0.04 } }
model_aliases:
  fast: hf:llama
  smart: { targets: [{ model: fast, weight: 3 }, "off:gpt-4o"], fallback: [free] }
`;

describe('waybill check', () => {
  it('prints who is reached by which name, for how much, and exits 0 with warnings alone', async () => {
    const { code, file, out, err } = await run(GOOD);
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(
      out,
    ).toBe(`${file}:10: llm_providers[1].api_keys[0]: warning: environment variable NOPE is not set; set it, or give a default: \`\${NOPE:-default}\`; this key is left out, and provider \`off\`, which has no other, is disabled

Listens on 127.0.0.1:2906, open to every caller on this machine (no api_keys)

Providers (prices in USD per million tokens)
  hf (huggingface), 1 key
    llama → meta/llama (default) [chat]: input 0.2, output 0.6
    half [chat]: input 0.2, output unknown
    free: price unknown
  off (openai), disabled: no API key
    off:<any model>: 0.04 USD per image

Aliases
  fast → hf:llama
  smart → fast (3), off:gpt-4o (1), else free

${file}: no errors, 1 warning
`);
    expect(out).not.toContain('hf_secret');
  });

  it('prints one line a problem and exits 1 with errors', async () => {
    const { code, file, out } = await run('llm_providers:\n  - id: hf\n    tpye: huggingface\nfoo: 1\n');
    expect(code).toBe(1);
    expect(out.split('\n')).toEqual([
      `${file}:2: llm_providers[0].type: missing; expected the type of the provider`,
      `${file}:3: llm_providers[0].tpye: unknown key \`tpye\`; did you mean \`type\`?`,
      expect.stringContaining(`${file}:4: foo: unknown key \`foo\``),
      `${file}: 3 errors, 0 warnings`,
      '',
    ]);
  });

  it('says in one line that a file is no YAML', async () => {
    const { code, file, out } = await run('llm_providers: [\n');
    expect(code).toBe(1);
    expect(out).toMatch(new RegExp(`^${file}:\\d: not valid YAML: .*\n${file}: 1 error, 0 warnings\n$`));
  });

  it('lets a dead host be a warning', async () => {
    const text =
      'llm_providers: [{ id: hf, type: huggingface, api_keys: [x], base_url: "https://api-inference.huggingface.co" }]\n';
    const { code, out } = await run(text);
    expect(code).toBe(0);
    expect(out).toContain(':1: llm_providers[0].base_url: warning: this host answers 410 Gone');
  });

  it('exits 2 for a file that cannot be read, without a stack', async () => {
    const { code, file, out, err } = await run(null);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toBe(`waybill: cannot read the config file ${file}: there is no such file\n`);
  });

  it('looks for the file where the daemon does', async () => {
    const file = join(directory, 'named.yaml');
    writeFileSync(file, GOOD);
    let out = '';
    const env = { WAYBILL_CONFIG: file };
    const sink = { write: (chunk: string) => (out += chunk) };
    expect(
      await checkCommand({ knownTypes: KNOWN_TYPES, loadModule: noModules, env, cwd: directory, out: sink, err: sink }),
    ).toBe(0);
    expect(out).toContain(`${file}: no errors`);
  });

  it('gives the same as JSON', async () => {
    const good = JSON.parse((await run(GOOD, { json: true, env: { NOPE: 'sk' } })).out);
    expect(good).toMatchObject({
      valid: true,
      errors: [],
      warnings: [],
      routing: {
        openMode: true,
        providers: [
          {
            id: 'hf',
            models: [{ id: 'llama', price: { usdPerMillionTokens: { input: '0.2', output: '0.6' } } }, {}, {}],
          },
          { id: 'off', disabledReason: null, price: { usdEach: { image: '0.04' } } },
        ],
      },
    });
    const bad = await run('llm_providers: []\n', { json: true });
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.out)).toMatchObject({
      valid: false,
      routing: null,
      errors: [{ path: 'llm_providers', line: 1, message: 'expected at least one provider with id, type, api_keys' }],
    });
  });
});

describe('waybill schema', () => {
  it('prints the JSON Schema', async () => {
    let out = '';
    expect(schemaCommand({ out: { write: (chunk) => (out += chunk) } })).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ type: 'object', required: ['llm_providers'] });
  });
});
