import { isJsonObject } from '../../wire/json-object.js';
import type { Writable } from '../../wire/raw-json.js';
import { refuse } from './refuse.js';

/** MIME types by the ending of a name, for files whose type nobody says. */
const TYPES: Readonly<Record<string, string>> = {
  ...{ png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', webp: 'image/webp', heic: 'image/heic' },
  ...{ heif: 'image/heif', gif: 'image/gif', pdf: 'application/pdf', txt: 'text/plain', csv: 'text/csv' },
  ...{ html: 'text/html', md: 'text/markdown', json: 'application/json' },
  ...{ wav: 'audio/wav', mp3: 'audio/mp3', aiff: 'audio/aiff', aac: 'audio/aac', ogg: 'audio/ogg', flac: 'audio/flac' },
  ...{ mp4: 'video/mp4', mpeg: 'video/mpeg', mov: 'video/mov', avi: 'video/avi', webm: 'video/webm', wmv: 'video/wmv' },
};

/**
 * `image_url` and `video_url`: a data URL goes inline, any other address is fetched by the provider.
 * Source: https://ai.google.dev/gemini-api/docs/file-input-methods
 */
export function urlPart(value: unknown, at: string): Writable {
  const url = typeof value === 'string' ? value : isJsonObject(value) ? value['url'] : undefined;
  if (typeof url !== 'string') refuse(at, 'must have a url');
  return url.startsWith('data:') ? inline(url, at) : remote(url, at);
}

/** `input_audio`: `{data, format}`. Source: https://ai.google.dev/gemini-api/docs/audio */
export function audioPart(value: unknown, at: string): Writable {
  const { data, format } = isJsonObject(value) ? value : {};
  if (typeof data !== 'string' || typeof format !== 'string') refuse(at, 'must have data and a format');
  return { inlineData: { mimeType: TYPES[format] ?? `audio/${format}`, data } };
}

/** `file`: its data as a data URL or in base64, or a `file_id` that is the address of a file uploaded to the provider. */
export function filePart(value: unknown, at: string): Writable {
  const { file_data: data, file_id: id, filename } = isJsonObject(value) ? value : {};
  if (typeof data === 'string') {
    if (data.startsWith('data:')) return inline(data, at);
    const mimeType = typeof filename === 'string' ? typeOf(filename) : undefined;
    if (mimeType === undefined)
      refuse(`${at}.filename`, 'must end in a known type of file, where its data is no data URL');
    return { inlineData: { mimeType, data } };
  }
  if (typeof id === 'string') return remote(id, `${at}.file_id`);
  refuse(at, 'must have file_data or file_id');
}

function inline(url: string, at: string): Writable {
  const comma = url.indexOf(',');
  const [mimeType = '', ...parameters] = url.slice('data:'.length, comma).split(';');
  if (comma === -1 || mimeType === '') refuse(at, 'this data URL has no type or no data');
  const data = url.slice(comma + 1);
  if (parameters.includes('base64')) return { inlineData: { mimeType, data } };
  try {
    return { inlineData: { mimeType, data: Buffer.from(decodeURIComponent(data)).toString('base64') } };
  } catch {
    refuse(at, 'this data URL is not percent-encoded as it should be');
  }
}

function remote(url: string, at: string): Writable {
  if (!/^(https?|gs):\/\//.test(url)) refuse(at, 'gemini takes data URLs and addresses that begin with https://');
  return { fileData: { mimeType: typeOf(url.replace(/[?#].*$/s, '')), fileUri: url } };
}

function typeOf(name: string): string | undefined {
  return TYPES[/\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''];
}
