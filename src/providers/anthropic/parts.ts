import type { JsonObject } from '../../domain/task.js';
import type { DocumentBlock, ImageSource, InputBlock, TextBlock } from '../../wire/anthropic.js';
import { isJsonObject } from '../../wire/json-object.js';
import { refuse } from './refuse.js';

/** Blocks of Anthropic's own that may stand among OpenAI's parts. */
const NATIVE = new Set(['image', 'document', 'search_result']);

/**
 * OpenAI's content as blocks: text, images (data and http URLs) and files (PDF and plain text by data URL, http URL or
 * Anthropic's file id), with their `cache_control`. Empty texts are left out, which the API refuses; so is an image's
 * `detail`, which has no place there.
 * Sources: https://platform.claude.com/docs/en/build-with-claude/vision,
 * https://platform.claude.com/docs/en/build-with-claude/pdf-support
 * @throws WaybillError invalid_request for any other part
 */
export function toBlocks(content: unknown, at: string): InputBlock[] {
  if (content === undefined || content === null) return [];
  if (typeof content === 'string') return textBlocks(content);
  if (!Array.isArray(content)) refuse(at, 'must be a text or a list of parts');
  return content.flatMap((part: unknown, index) => toBlock(part, `${at}[${index}]`));
}

/**
 * Content that can only be text, of a system's or an assistant's message.
 * @throws WaybillError invalid_request for a part that is no text
 */
export function toTextBlocks(content: unknown, at: string): TextBlock[] {
  return toBlocks(content, at).map((block, index) => {
    if (block.type !== 'text') refuse(`${at}[${index}]`, 'only text can stand here');
    return block;
  });
}

function textBlocks(text: string): TextBlock[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

function toBlock(part: unknown, at: string): InputBlock[] {
  if (typeof part === 'string') return textBlocks(part);
  if (!isJsonObject(part)) refuse(at, 'must be an object');
  const cache = cacheControlOf(part);
  const { type } = part;
  if (type === 'text' || type === 'refusal') {
    const text = part[type];
    if (typeof text !== 'string') refuse(`${at}.${type}`, 'must be a text');
    return textBlocks(text).map((block) => ({ ...block, ...cache }));
  }
  if (type === 'image_url')
    return [{ type: 'image', source: imageSource(part['image_url'], `${at}.image_url`), ...cache }];
  if (type === 'file') return [{ ...documentOf(part['file'], `${at}.file`), ...cache }];
  if (typeof type === 'string' && NATIVE.has(type)) return [part as unknown as InputBlock];
  return refuse(`${at}.type`, `\`${String(type)}\` is not taken; text, image_url and file are`);
}

/** `cache_control` where it was set, to be spread into a block. */
export function cacheControlOf(holder: JsonObject): { cache_control?: unknown } {
  const control = holder['cache_control'];
  return control === undefined || control === null ? {} : { cache_control: control };
}

function imageSource(image: unknown, at: string): ImageSource {
  const url = isJsonObject(image) ? image['url'] : image;
  if (typeof url !== 'string') refuse(`${at}.url`, 'must be a URL');
  if (isWebUrl(url)) return { type: 'url', url };
  const data = parseDataUrl(url);
  if (data === null) refuse(`${at}.url`, 'must be an http(s) URL or a base64 data URL');
  return { type: 'base64', media_type: data.mediaType, data: data.base64 };
}

function documentOf(file: unknown, at: string): DocumentBlock {
  if (!isJsonObject(file)) refuse(at, 'must be an object');
  const { file_data: data, file_id: id, filename } = file;
  const title = typeof filename === 'string' && filename !== '' ? { title: filename } : {};
  if (typeof id === 'string') return { type: 'document', source: { type: 'file', file_id: id }, ...title };
  if (typeof data !== 'string') refuse(at, 'must have `file_data` or `file_id`');
  if (isWebUrl(data)) return { type: 'document', source: { type: 'url', url: data }, ...title };
  const parsed = parseDataUrl(data);
  if (parsed === null) refuse(`${at}.file_data`, 'must be an http(s) URL or a base64 data URL');
  if (parsed.mediaType === 'text/plain') {
    const text = Buffer.from(parsed.base64, 'base64').toString('utf8');
    return { type: 'document', source: { type: 'text', media_type: 'text/plain', data: text }, ...title };
  }
  if (parsed.mediaType !== 'application/pdf') {
    refuse(`${at}.file_data`, `\`${parsed.mediaType}\` is not taken; application/pdf and text/plain are`);
  }
  return { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: parsed.base64 }, ...title };
}

function isWebUrl(url: string): boolean {
  return /^https?:\/\//i.test(url);
}

/** `data:image/png;base64,…`, parameters of the media type left out; null for anything else. */
function parseDataUrl(url: string): { mediaType: string; base64: string } | null {
  const comma = url.indexOf(',');
  const head = /^data:([a-z0-9.+-]+\/[a-z0-9.+-]+)(?:;[^;,]*)*;base64$/i.exec(url.slice(0, Math.max(0, comma)));
  return head === null ? null : { mediaType: (head[1] as string).toLowerCase(), base64: url.slice(comma + 1) };
}
