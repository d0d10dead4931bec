import type { Config } from '../config/config.js';
import { adapters } from '../providers/registry.js';
import { type RunningSandbox, startSandbox } from '../providers/sandbox/server.js';

/** The bundled upstream, started when a configuration first names a provider that answers from inside the process. */
export class BundledSandbox {
  #running: RunningSandbox | null = null;

  /** Where it listens; null as long as nothing needs it. One call at a time. */
  async urlFor(config: Config): Promise<string | null> {
    const inline = new Set(adapters.filter((adapter) => adapter.inline === true).map((adapter) => adapter.id));
    if (this.#running === null && config.providers.some((provider) => inline.has(provider.type))) {
      this.#running = await startSandbox({});
    }
    return this.#running?.url ?? null;
  }

  async close(): Promise<void> {
    await this.#running?.close();
  }
}
