import * as z from 'zod';
import { field, listOf, mapOf, section } from './fields.js';
import { aliasField, clientSection } from './schema-access.js';
import { catalogSection, policySection } from './schema-policy.js';
import { providersField } from './schema-providers.js';
import { loggingSection, serverSection, storageSection } from './schema-server.js';

const version = () =>
  field({
    shape: { type: ['string', 'number'] },
    expects: '"1.0"',
    parse: (value) => (value === '1.0' || value === '1' || value === 1 ? ('1.0' as const) : undefined),
  });

/** The config file. Everything that reads or describes it comes from here. */
export const fileSchema = section({
  version: version().prefault('1.0').describe('Version of the format.'),
  server: serverSection.prefault({}).describe('Where Waybill listens.'),
  logging: loggingSection.prefault({}).describe('Logs and metrics.'),
  storage: storageSection.prefault({}).describe('The ledger and shared state.'),
  llm_providers: providersField.describe('The providers.'),
  api_keys: listOf(clientSection, 'clients')
    .optional()
    .describe('The clients. Left out: open mode, everyone on this machine may call.'),
  model_aliases: mapOf(aliasField, 'names to models').prefault({}).describe('Other names for models.'),
  policy: policySection.prefault({}).describe('Routing, retries, queues.'),
  catalog: catalogSection.prefault({}).describe('The catalogue of models.'),
});

/** The file after parsing: its own key names, defaults filled in, durations in milliseconds. */
export type ConfigFile = z.output<typeof fileSchema>;

type JsonSchema = { [key: string]: unknown };

/** JSON Schema (draft 2020-12) of the file as it is written, for editors. */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(fileSchema, { io: 'input' }) as JsonSchema;
  return { ...allowNull(schema), title: 'Waybill configuration' };
}

/** A key set to null counts as left out, so every optional key may be null. */
function allowNull(schema: JsonSchema): JsonSchema {
  const result: JsonSchema = { ...schema };
  const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as string[]) : []);
  const properties = schema['properties'] as Record<string, JsonSchema> | undefined;
  if (properties !== undefined) {
    result['properties'] = Object.fromEntries(
      Object.entries(properties).map(([key, value]) => {
        const inner = allowNull(value);
        return [key, required.has(key) ? inner : nullable(inner)];
      }),
    );
  }
  for (const key of ['items', 'additionalProperties']) {
    if (typeof schema[key] === 'object') result[key] = allowNull(schema[key] as JsonSchema);
  }
  if (Array.isArray(schema['anyOf'])) result['anyOf'] = (schema['anyOf'] as JsonSchema[]).map(allowNull);
  return result;
}

function nullable(schema: JsonSchema): JsonSchema {
  const { type } = schema;
  if (Array.isArray(schema['anyOf'])) return { ...schema, anyOf: [...schema['anyOf'], { type: 'null' }] };
  if (Array.isArray(schema['enum'])) return { ...schema, type: [type, 'null'], enum: [...schema['enum'], null] };
  return { ...schema, type: Array.isArray(type) ? [...type, 'null'] : [type, 'null'] };
}
