// Of `npm run build`, after the compiler has checked and declared the types: joins our own modules, and the packages that
// every start needs, into a few files. A start that reads each by itself takes half as long again. Other packages stay
// outside, as npm installed them.
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Some hundred files between them. The rest is native, starts threads from its own files, or is loaded when it is needed. */
const JOINED = ['koa', '@koa/router', 'commander', 'js-yaml', 'zod', 'fastest-levenshtein'];

const root = fileURLToPath(new URL('.', import.meta.url));
const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

// Its files have the hashes of their content in their names: those of the last build would stay.
rmSync(`${root}dist/chunks`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  // All at one depth, that of the sources: a path relative to a module is the same in both.
  entryPoints: {
    'main/cli': 'src/cli.ts',
    'providers/public': 'src/providers/public.ts',
    'composition/module-hook': 'src/composition/module-hook.ts',
  },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  external: Object.keys(dependencies).filter((name) => !JOINED.includes(name)),
  // Packages in CommonJS ask for modules of Node by this name, which modules do not have.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'linked',
  logLevel: 'warning',
});
writeFileSync(`${root}dist/cli.js`, "#!/usr/bin/env node\nimport './main/cli.js';\n");
chmodSync(`${root}dist/cli.js`, 0o755);
