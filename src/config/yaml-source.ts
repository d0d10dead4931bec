import {
  boolCoreTag,
  CORE_SCHEMA,
  constructFromEvents,
  EVENT_ID,
  type Event,
  FAILSAFE_SCHEMA,
  getScalarValue,
  mergeTag,
  nullCoreTag,
  parseEvents,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { findKnot } from './yaml-knot.js';
import { errorAt, type Finding, LineMap, type YamlPath } from './yaml-path.js';

/** A mapping of a parsed document. */
export type YamlMapping = { [key: string]: unknown };

export interface YamlSource {
  /** Numbers are kept as the text that was written, so that decimals stay exact; booleans and null are themselves. */
  tree: YamlMapping;
  /** The same document with JSON's types, for values that are forwarded as JSON. */
  typed: YamlMapping;
  lines: LineMap;
  /** Keys that are written twice. */
  findings: Finding[];
}

export type YamlOutcome = { ok: true; source: YamlSource } | { ok: false; line: number; message: string };

const WRITTEN_SCHEMA = FAILSAFE_SCHEMA.withTags(nullCoreTag, boolCoreTag, mergeTag);
const TYPED_SCHEMA = CORE_SCHEMA.withTags(mergeTag);
const MAX_DEPTH = 64;
const MAX_ALIASES = 1000;

/** Reads one YAML (or JSON) document whose root is a mapping. A document that is no YAML gives one message with its line. */
export function readYaml(text: string): YamlOutcome {
  try {
    // A byte order mark is what some editors put first; it is no part of the document.
    const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
    const events = parseEvents(clean, { maxDepth: MAX_DEPTH });
    const options = { source: clean, json: true, maxAliases: MAX_ALIASES };
    const trees = constructFromEvents(events, { ...options, schema: WRITTEN_SCHEMA });
    const [tree] = trees;
    if (trees.length === 0 || tree === null) {
      return { ok: false, line: 1, message: 'the file is empty; at least `llm_providers` with one entry is needed' };
    }
    if (trees.length > 1) return { ok: false, line: 1, message: 'the file holds several YAML documents; write one' };
    if (!isMapping(tree)) return { ok: false, line: 1, message: 'expected a mapping of keys such as `llm_providers:`' };
    const knot = findKnot(tree);
    if (knot !== null) {
      const { lines } = mapLines(clean, events);
      return { ok: false, line: lines.lineOf(knot.path), message: knot.message };
    }
    const typed = constructFromEvents(events, { ...options, schema: TYPED_SCHEMA })[0] as YamlMapping;
    const { lines, findings } = mapLines(clean, events);
    return { ok: true, source: { tree, typed, lines, findings } };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    return { ok: false, line: (error.mark?.line ?? 0) + 1, message: `not valid YAML: ${error.reason}` };
  }
}

export function isMapping(value: unknown): value is YamlMapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Frame {
  path: YamlPath;
  kind: 'sequence' | 'mapping' | 'document';
  index: number;
  /** The key whose value comes next; null when a key comes next. */
  key: string | null;
  seen: Map<string, number>;
}

/** Walks the parser's events beside the paths they belong to. */
function mapLines(source: string, events: readonly Event[]): { lines: LineMap; findings: Finding[] } {
  const lines = new LineMap();
  const findings: Finding[] = [];
  const lineAt = lineFinder(source);
  const stack: Frame[] = [];
  for (const event of events) {
    if (event.type === EVENT_ID.POP) {
      stack.pop();
      continue;
    }
    if (event.type === EVENT_ID.DOCUMENT) {
      stack.push({ path: [], kind: 'document', index: 0, key: null, seen: new Map() });
      continue;
    }
    const frame = stack.at(-1);
    if (frame === undefined) continue;
    const offset = offsetOf(event);
    if (frame.kind === 'mapping' && frame.key === null && event.type === EVENT_ID.SCALAR) {
      readKey(frame, getScalarValue(source, event as ScalarEvent), lineAt(offset), lines, findings);
      continue;
    }
    const path = childPath(frame);
    if (frame.kind === 'sequence') lines.set(path, lineAt(offset));
    if (event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING) {
      const kind = event.type === EVENT_ID.SEQUENCE ? 'sequence' : 'mapping';
      stack.push({ path, kind, index: 0, key: null, seen: new Map() });
    }
    frame.index += 1;
    frame.key = null;
  }
  return { lines, findings };
}

function readKey(frame: Frame, key: string, line: number, lines: LineMap, findings: Finding[]): void {
  const path = [...frame.path, key];
  const first = frame.seen.get(key);
  if (first === undefined) {
    frame.seen.set(key, line);
    lines.set(path, line);
  } else {
    const message = `\`${key}\` is written twice; keep one (the first is on line ${first})`;
    findings.push({ ...errorAt(path, message), line });
  }
  frame.key = key;
}

function childPath(frame: Frame): YamlPath {
  if (frame.kind === 'document') return [];
  return [...frame.path, frame.kind === 'sequence' ? frame.index : (frame.key ?? '')];
}

function offsetOf(event: Event): number {
  if ('valueStart' in event) return event.valueStart;
  if ('start' in event) return event.start;
  return 'anchorStart' in event ? event.anchorStart : 0;
}

/** Line (from 1) of an offset, by binary search over the line starts. */
function lineFinder(source: string): (offset: number) => number {
  const starts = [0];
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}
