// biome-ignore-all lint/suspicious/noTemplateCurlyInString: `${NAME}` is what the config file says.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConfigFile, loadConfig } from '../../../src/config/load.js';
import { UserError } from '../../../src/domain/errors.js';
import { KNOWN_TYPES } from './known-types.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waybill-config-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('loadConfig', () => {
  it('reads the file, its secrets and its environment', () => {
    const secret = join(directory, 'token');
    writeFileSync(secret, 'hf_from_file\n');
    const file = join(directory, 'config.yaml');
    writeFileSync(
      file,
      `\uFEFFllm_providers: [{ id: "\${NAME}", type: huggingface, api_keys: ["\${file:${secret}}"] }]\r\n`,
    );
    const { config, problems, sourceText } = loadConfig({ file, knownTypes: KNOWN_TYPES, env: { NAME: 'hf' } });
    expect(problems).toEqual([]);
    expect(config?.providers[0]?.id).toBe('hf');
    expect(config?.providers[0]?.keys[0]?.secret.reveal()).toBe('hf_from_file');
    expect(sourceText).toContain('llm_providers');
  });

  it.each([
    ['missing.yaml', 'there is no such file'],
    ['.', 'it is a directory'],
  ])('says why it cannot read %s', (name, why) => {
    const load = () => loadConfig({ file: join(directory, name), knownTypes: KNOWN_TYPES, env: {} });
    expect(load).toThrow(UserError);
    expect(load).toThrow(why);
  });
});

describe('findConfigFile', () => {
  it('takes --config, then WAYBILL_CONFIG, then ./config.yaml', () => {
    const env = { WAYBILL_CONFIG: '/from/env.yaml' };
    expect(findConfigFile({ flag: 'flag.yaml', env, cwd: directory })).toBe('flag.yaml');
    expect(findConfigFile({ env, cwd: directory })).toBe('/from/env.yaml');
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'sub', 'config.yaml'), 'x: 1\n');
    expect(findConfigFile({ env: {}, cwd: join(directory, 'sub') })).toBe(join(directory, 'sub', 'config.yaml'));
  });
});
