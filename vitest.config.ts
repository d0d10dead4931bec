import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: ['test/support/global-build.ts'],
    setupFiles: ['test/support/leak-guard.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Many files start a daemon of their own: half the cores are for those.
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
  },
});
