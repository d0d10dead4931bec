export type Schema = { [key: string]: unknown };

/** Every key of a JSON Schema with its path: `server.cors.max_age`. Lists and forms add no step of their own. */
export function keysOf(schema: Schema, path = ''): string[] {
  const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
  const own = Object.entries(properties).flatMap(([key, inner]) => [
    `${path}${key}`,
    ...keysOf(inner, `${path}${key}.`),
  ]);
  const items = typeof schema['items'] === 'object' ? keysOf(schema['items'] as Schema, path) : [];
  const extra = schema['additionalProperties'];
  const values = typeof extra === 'object' && extra !== null ? keysOf(extra as Schema, path) : [];
  const forms = ((schema['anyOf'] ?? []) as Schema[]).flatMap((form) => keysOf(form, path));
  return [...new Set([...own, ...items, ...values, ...forms])];
}
