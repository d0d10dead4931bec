import type { CountedInput } from '../domain/metering.js';
import type { JsonObject, Task, TaskRequest } from '../domain/task.js';
import { type Unit, unitOf } from '../domain/units.js';

/**
 * Bytes of a second of audio whose length nobody could read: 32 kbit/s, as speech is usually compressed, for an
 * estimate; 8 kbit/s, which hardly anything goes below, for what it can be at most.
 */
const USUAL_BYTES_PER_SECOND = 4_000;
const LEAST_BYTES_PER_SECOND = 1_000;

/**
 * Cohere's search unit: one query over up to 100 documents, of which each begun 500 tokens count as one, query included.
 * Source: https://cohere.com/pricing
 */
const DOCUMENTS_PER_SEARCH_UNIT = 100;
const TOKENS_PER_DOCUMENT = 500;
const CHARACTERS_PER_TOKEN = 4;

/** Tasks whose only text is a prompt. */
const PROMPTED: ReadonlySet<Task> = new Set([
  ...(['image', 'image-edit', 'image-variation'] as const),
  ...(['transcription', 'audio-translation'] as const),
]);

/** Texts inside a payload are looked for so deep. */
const MAX_DEPTH = 8;

/** The texts of a request that is neither chat nor completion nor embedding. */
export function taskInput(request: TaskRequest): CountedInput {
  const input = { texts: textsOf(request), tokens: 0, messages: 0 };
  if (request.task !== 'rerank') return input;
  // A model reads query and document in pairs, and so Voyage and Jina count them.
  const text = strings(request.body.value['query']).join('\n');
  return text === '' ? input : { ...input, repeated: { text, times: input.texts.length } };
}

/** What a request asks for in the unit of its task, as far as the request says: usually, and at most. */
export function requestUnits(request: TaskRequest): { unit: Unit; usual: number; most: number } | null {
  const unit = unitOf(request.task);
  switch (unit) {
    case null:
      return null;
    case 'images': {
      const images = imageCount(request.body.value);
      return { unit, usual: images, most: images };
    }
    case 'characters': {
      const characters = charactersOf(request);
      return { unit, usual: characters, most: characters };
    }
    case 'searchUnits': {
      const units = searchUnits(request.body.value);
      return { unit, usual: units, most: units };
    }
    case 'audioMs':
      return { unit, ...audioLength(request) };
  }
}

function textsOf({ task, body: { value } }: TaskRequest): string[] {
  if (PROMPTED.has(task)) return strings(value['prompt']);
  if (task === 'speech') return strings([value['input'], value['instructions']]);
  if (task === 'moderation') return strings(value['input']);
  if (task === 'rerank') return documentTexts(value);
  return strings(value['inputs']);
}

function documentTexts({ documents }: JsonObject): string[] {
  return Array.isArray(documents) ? documents.map((document) => strings(document).join('\n')) : [];
}

function imageCount(value: JsonObject): number {
  const parameters = value['parameters'];
  const inner = typeof parameters === 'object' && parameters !== null ? (parameters as JsonObject) : {};
  const given = value['n'] ?? inner['num_images_per_prompt'];
  // A form's fields are texts.
  const n = typeof given === 'string' && given !== '' ? Number(given) : given;
  return Number.isSafeInteger(n) && (n as number) > 0 ? (n as number) : 1;
}

/** Unicode code points, as the providers that bill by the character count them. */
function charactersOf({ task, body: { value } }: TaskRequest): number {
  const text = strings(task === 'speech' ? value['input'] : (value['inputs'] ?? value['text_inputs'])).join('');
  let characters = 0;
  for (let at = 0; at < text.length; at += 1) {
    // The second half of a pair belongs to the first.
    if ((text.charCodeAt(at) & 0xfc00) !== 0xdc00) characters += 1;
  }
  return characters;
}

function searchUnits(value: JsonObject): number {
  const query = strings(value['query']).join('').length;
  let documents = 0;
  for (const text of documentTexts(value)) {
    documents += Math.max(1, Math.ceil((query + text.length) / CHARACTERS_PER_TOKEN / TOKENS_PER_DOCUMENT));
  }
  return Math.max(1, Math.ceil(documents / DOCUMENTS_PER_SEARCH_UNIT));
}

function audioLength(request: TaskRequest): { usual: number; most: number } {
  const { carried, body } = request;
  const known = carried?.audioMs ?? null;
  // Begun seconds are billed as whole ones (OpenAI's `usage.seconds`).
  if (known !== null) return { usual: known, most: Math.ceil(known / 1_000) * 1_000 };
  const bytes = carried === undefined ? base64Bytes(body.value['inputs']) : bytesOf(carried);
  const lasts = (bytesPerSecond: number) => Math.ceil((bytes * 1_000) / bytesPerSecond);
  return { usual: lasts(USUAL_BYTES_PER_SECOND), most: lasts(LEAST_BYTES_PER_SECOND) };
}

function bytesOf(carried: NonNullable<TaskRequest['carried']>): number {
  return carried.kind === 'bytes' ? carried.bytes.length : (carried.fileBytes() ?? 0);
}

function base64Bytes(value: unknown): number {
  return typeof value === 'string' ? Math.floor((value.length * 3) / 4) : 0;
}

/** Every text in a value; of an object those of its members. Addresses and data of images are none. */
function strings(value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return [];
  if (Array.isArray(value)) return value.flatMap((item) => strings(item, depth + 1));
  return Object.entries(value).flatMap(([key, member]) =>
    key === 'image_url' || key === 'image' || key === 'type' ? [] : strings(member, depth + 1),
  );
}
