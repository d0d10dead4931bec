import { configJsonSchema } from '../config/schema.js';

/**
 * `waybill schema`: the JSON Schema of the config file, for editors.
 * @returns the exit code, always 0
 */
export function schemaCommand(options: { out: { write(text: string): unknown } }): number {
  options.out.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  return 0;
}
