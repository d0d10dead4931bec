import type { LoadModule } from '../../src/config/provider-modules.js';

/** Finds no module by any name. */
export const noModules: LoadModule = async () => ({ kind: 'nothing', hint: null });
