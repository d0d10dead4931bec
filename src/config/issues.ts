import type * as z from 'zod';
import { errorAt, type Finding, type YamlPath } from './yaml-path.js';
import { isMapping, type YamlMapping } from './yaml-source.js';

type Issue = z.core.$ZodIssue;

export interface IssueContext {
  /** What was checked. */
  tree: YamlMapping;
  /** The file as written: values are quoted from here, so that no variable's content is shown. */
  written: YamlMapping;
}

/** What the schema found, one finding for each key. */
export function toFindings(issues: readonly Issue[], context: IssueContext): Finding[] {
  return issues.flatMap((issue) => flatten(issue, [], context));
}

function flatten(issue: Issue, base: YamlPath, context: IssueContext): Finding[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'invalid_union') {
    // By convention the mapping is the last of several forms, and the short form the first.
    const branch = isMapping(valueAt(context.tree, path)) ? issue.errors.at(-1) : issue.errors[0];
    return (branch ?? []).flatMap((inner) => flatten(inner, path, context));
  }
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, index) => errorAt([...path, key], messages[index] ?? `unknown key \`${key}\``));
  }
  const value = valueAt(context.written, path);
  if (issue.code === 'custom') {
    const { showsValue = false, hint = '' } = (issue.params ?? {}) as { showsValue?: boolean; hint?: string };
    return [errorAt(path, `${issue.message}${showsValue ? got(value) : ''}${hint}`)];
  }
  // A key that stands where a list belongs must not be quoted: only say what kind of thing it is.
  return [errorAt(path, issue.code === 'invalid_type' ? `${issue.message}${gotKind(value)}` : issue.message)];
}

function gotKind(value: unknown): string {
  const isSingle = value !== undefined && value !== null && typeof value !== 'object';
  return isSingle ? ', got a single value' : got(value);
}

function got(value: unknown): string {
  if (value === undefined) return '';
  if (value === null) return ', got nothing';
  if (Array.isArray(value)) return ', got a list';
  if (isMapping(value)) return ', got a mapping';
  const text = String(value);
  return `, got \`${text.length > 60 ? `${text.slice(0, 60)}…` : text}\``;
}

/** The value at a path; undefined where there is none. */
export function valueAt(tree: unknown, path: YamlPath): unknown {
  let value = tree;
  for (const step of path) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else if (isMapping(value) && Object.hasOwn(value, step)) value = value[step];
    else return undefined;
  }
  return value;
}
