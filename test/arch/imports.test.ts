import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findCycle, readSources, type SourceFile } from './source-files.js';

/** Everything the composition root joins. */
const ROOMS = [
  ...['domain', 'wire', 'config', 'telemetry', 'upstream', 'providers', 'dispatch', 'http', 'keys', 'limits'],
  ...['routing', 'metering', 'access', 'ledger', 'catalog', 'partner', 'reports'],
];

/** Which rooms a room may import beside itself. Every folder of src has a line here, and so has each file in src itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  wire: ['domain'],
  config: ['domain'],
  telemetry: ['domain'],
  upstream: ['domain', 'wire'],
  providers: ['domain', 'wire'],
  dispatch: ['domain', 'wire'],
  http: ['domain', 'wire'],
  keys: ['domain'],
  limits: ['domain'],
  routing: ['domain'],
  metering: ['domain'],
  access: ['domain'],
  ledger: ['domain'],
  catalog: ['domain'],
  partner: ['domain'],
  reports: ['domain'],
  composition: ROOMS,
  app: ['composition', ...ROOMS],
  commands: ['app', 'config', 'domain'],
  cli: ['commands', 'app', 'config', 'domain'],
};

/** Packages that stand behind one door, and the door. */
const DOORS: ReadonlyArray<{ pack: RegExp; door: RegExp }> = [
  { pack: /^bottleneck(\/|$)/, door: /^limits\/bottleneck\.ts$/ },
  { pack: /^tiktoken(\/|$)/, door: /^metering\/tokenizer\.ts$/ },
  { pack: /^better-sqlite3$/, door: /^ledger\// },
  { pack: /^undici$/, door: /^upstream\// },
  { pack: /^(koa|@koa\/router)$/, door: /^http\// },
  { pack: /^(pino|pino-pretty|pino-roll|prom-client)$/, door: /^telemetry\// },
  { pack: /^(js-yaml|zod)$/, door: /^config\// },
  { pack: /^@smithy\/signature-v4$/, door: /^providers\/bedrock\/sign\.ts$/ },
  { pack: /^@smithy\/eventstream-codec$/, door: /^wire\/event-stream\.ts$/ },
  { pack: /^@fastify\/busboy$/, door: /^http\/form-steps\.ts$/ },
  { pack: /^music-metadata$/, door: /^metering\/audio-length\.ts$/ },
  { pack: /^commander$/, door: /^(cli|commands\/.*)\.ts$/ },
];

const MAY_READ_ENVIRONMENT = /^(config\/load|cli)\.ts$/;

const files = readSources();

describe('imports', () => {
  it('go from the rim to the hub only, never from room to room', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap(forbiddenImports)).toEqual([]);
  });

  it('have a rule for every room', () => {
    expect([...new Set(files.map(({ room }) => room))].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  it('name files that exist', () => {
    const known = new Set(files.map(({ path }) => path));
    const lost = files.flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target?.endsWith('.ts') && !known.has(target))
        .map((each) => `${path}: ${each.specifier}`),
    );
    expect(lost).toEqual([]);
  });

  it('leave the domain without packages, so that what the words mean depends on nothing', () => {
    const packages = files
      .filter(({ room }) => room === 'domain')
      .flatMap(({ path, imports }) =>
        imports.filter(({ target }) => target === null).map((each) => `${path}: ${each.specifier}`),
      );
    expect(packages).toEqual([]);
  });

  it('reach each of these packages through its one door', () => {
    expect(files.flatMap(wrongDoors)).toEqual([]);
    for (const { pack, door } of DOORS.slice(0, 4)) {
      const users = files.filter(
        ({ path, imports }) => door.test(path) && imports.some((each) => pack.test(each.specifier)),
      );
      expect(users.length, `somebody behind ${door} uses ${pack}`).toBeGreaterThan(0);
    }
  });

  it('make no circle', () => {
    expect(findCycle(files)).toBeNull();
  });
});

describe('source', () => {
  it('reads the environment where the config is loaded, and nowhere else', () => {
    expect(files.filter(readsEnvironment).map(({ path }) => path)).toEqual([]);
  });

  it('has named exports only', () => {
    expect(files.filter(hasDefaultExport).map(({ path }) => path)).toEqual([]);
  });

  it('keeps no state that changes in a module', () => {
    expect(files.filter(({ code }) => /^(export )?(let|var) /m.test(code)).map(({ path }) => path)).toEqual([]);
  });

  it('has files in kebab-case, and none that only passes on what others export', () => {
    const odd = files.filter(({ path, code }) => {
      const statements = code.split('\n').filter((line) => line.trim() !== '');
      const isBarrel = statements.length > 0 && statements.every((line) => /^export .* from /.test(line));
      return isBarrel || !path.split('/').every((part) => /^[a-z0-9-]+(\.d)?(\.tsx?)?$/.test(part));
    });
    expect(odd.map(({ path }) => path)).toEqual([]);
  });
});

describe('these rules', () => {
  const directory = mkdtempSync(join(tmpdir(), 'waybill-arch-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('notice each kind of offence', () => {
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    };
    write(
      'dispatch/loop.ts',
      "import type { L } from '../ledger/sqlite.js';\nconst url = 'http://x'; const k = process.env.KEY;\n",
    );
    write(
      'ledger/sqlite.ts',
      "import { y } from '../ledger/other.js';\nimport { fetch } from 'undici';\nexport default 1;\n",
    );
    write(
      'ledger/other.ts',
      "// import { a } from '../http/a.js';\nexport { x } from './sqlite.js';\nconst z = await import('tiktoken/lite');\n",
    );
    const bad = readSources(directory);
    expect(bad.flatMap(forbiddenImports)).toEqual(['dispatch/loop.ts imports ledger/sqlite.ts']);
    expect(bad.flatMap(wrongDoors).sort()).toEqual([
      'ledger/other.ts imports tiktoken/lite',
      'ledger/sqlite.ts imports undici',
    ]);
    expect(bad.filter(readsEnvironment).map(({ path }) => path)).toEqual(['dispatch/loop.ts']);
    expect(bad.filter(hasDefaultExport).map(({ path }) => path)).toEqual(['ledger/sqlite.ts']);
    expect(new Set(findCycle(bad))).toEqual(new Set(['ledger/sqlite.ts', 'ledger/other.ts']));
  });
});

function forbiddenImports({ path, room, imports }: SourceFile): string[] {
  return imports.flatMap(({ target }) => {
    if (target === null || target === '../package.json') return [];
    const other = (target.split('/')[0] as string).replace(/\.tsx?$/, '');
    return other === room || MAY_IMPORT[room]?.includes(other) ? [] : [`${path} imports ${target}`];
  });
}

function wrongDoors({ path, imports }: SourceFile): string[] {
  return imports.flatMap(({ specifier, target }) =>
    target === null && DOORS.some(({ pack, door }) => pack.test(specifier) && !door.test(path))
      ? [`${path} imports ${specifier}`]
      : [],
  );
}

function readsEnvironment({ path, code }: SourceFile): boolean {
  return /\bprocess\s*\.\s*env\b|\bprocess\s*\[\s*['"]env['"]/.test(code) && !MAY_READ_ENVIRONMENT.test(path);
}

function hasDefaultExport({ code }: SourceFile): boolean {
  return /^\s*export\s+default\b|\bas\s+default\b/m.test(code);
}
