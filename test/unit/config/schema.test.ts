import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../src/config/schema.js';
import { keysOf, type Schema } from './schema-keys.js';

describe('the JSON Schema', () => {
  const schema = configJsonSchema();

  it('describes the file as it is written, defaults and all', () => {
    expect(schema['$schema']).toContain('2020-12');
    expect(schema).toMatchObject({
      type: 'object',
      additionalProperties: false,
      required: ['llm_providers'],
      properties: {
        server: { properties: { listen: { type: ['string', 'null'], default: '127.0.0.1:2906' } } },
        policy: {
          properties: { algorithm: { default: 'hybrid', enum: expect.arrayContaining(['lowest_cost', null]) } },
        },
        llm_providers: {
          minItems: 1,
          items: {
            required: ['id', 'type'],
            properties: {
              limits: { properties: { req_per_min: { type: ['integer', 'string', 'null'], minimum: 1 } } },
            },
          },
        },
      },
    });
  });

  it('knows every key, each with a sentence for the editor', () => {
    const keys = keysOf(schema);
    expect(keys).toContain('llm_providers.models.pricing.tiers.above_input_tokens');
    expect(keys).toContain('model_aliases.targets.weight');
    expect(keys.length).toBeGreaterThan(150);
    const undescribed: string[] = [];
    const visit = (node: Schema, path: string): void => {
      for (const [key, inner] of Object.entries((node['properties'] ?? {}) as Record<string, Schema>)) {
        if (typeof inner['description'] !== 'string') undescribed.push(`${path}${key}`);
        visit(inner, `${path}${key}.`);
      }
      if (typeof node['items'] === 'object') visit(node['items'] as Schema, path);
      for (const form of (node['anyOf'] ?? []) as Schema[]) visit(form, path);
    };
    visit(schema, '');
    expect(undescribed).toEqual([]);
  });
});
