import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { editMembers, scanMembers } from '../../wire/json-text.js';
import { refuse } from './refuse.js';

/**
 * `response_format` as the text of `output_config.format`; null for text. The schema goes out as it was written, but for
 * `$schema`, which constrains nothing; a description of the format becomes the schema's own. Every schema is strict here,
 * and a keyword that is not supported is refused by the provider, by name. There is no JSON without a schema.
 * Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
 * @throws WaybillError invalid_request for `json_object`
 */
export function toOutputFormat({ value, text }: { value: unknown; text: string | undefined }): string | null {
  if (value === undefined || text === undefined) return null;
  const type = isJsonObject(value) ? value['type'] : undefined;
  if (type === 'text') return null;
  if (type !== 'json_schema') {
    refuse('response_format', 'JSON needs a schema here: `{"type": "json_schema", "json_schema": {"schema": …}}`');
  }
  const wrapper = (value as JsonObject)['json_schema'];
  const schema = isJsonObject(wrapper) ? wrapper['schema'] : undefined;
  if (!isJsonObject(wrapper) || !isJsonObject(schema))
    refuse('response_format.json_schema.schema', 'must be a JSON schema');
  const members = scanMembers(scanMembers(text).get('json_schema') as string);
  const described: Array<[string, string]> =
    typeof wrapper['description'] === 'string' && schema['description'] === undefined
      ? [['description', members.get('description') as string]]
      : [];
  const edit = (key: string) => (key === '$schema' ? null : undefined);
  return `{"type":"json_schema","schema":${editMembers(members.get('schema') as string, edit, described)}}`;
}
