import type { JsonObject } from '../../domain/task.js';
import { isJsonObject } from '../../wire/json-object.js';
import { textOf } from '../json-answer.js';
import type { RequestParameters } from '../request-parameters.js';

const DATA_URL = /^data:([^;,]+)[^,]*;base64,/i;
const IMAGE_FORMATS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'image/jpg': 'jpeg',
  'image/gif': 'gif',
  'image/webp': 'webp',
};
const DOCUMENT_FORMATS: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'text/csv': 'csv',
  'application/msword': 'doc',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.ms-excel': 'xls',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'text/html': 'html',
  'text/plain': 'txt',
  'text/markdown': 'md',
};

/**
 * An `image_url` part: a data URL, or an object in S3. Bedrock fetches nothing from the web.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html
 * @throws WaybillError invalid_request
 */
export function toImage(image: unknown, at: string, parameters: RequestParameters): JsonObject {
  const url = textOf(isJsonObject(image) ? image['url'] : image) ?? '';
  if (url.startsWith('s3://')) {
    const extension = /\.([a-z]+)$/i.exec(url)?.[1]?.toLowerCase() ?? '';
    const format = IMAGE_FORMATS[`image/${extension}`];
    if (format === undefined) parameters.refuse(at, 'takes pictures that are png, jpeg, gif or webp');
    return { image: { format, source: { s3Location: { uri: url } } } };
  }
  const { type, bytes } = readDataUrl(url) ?? parameters.refuse(at, 'takes pictures as data URLs or from S3');
  const format = IMAGE_FORMATS[type];
  if (format === undefined) parameters.refuse(at, 'takes pictures that are png, jpeg, gif or webp');
  return { image: { format, source: { bytes } } };
}

/**
 * A `file` part with its data. A document's name may hold letters, digits, single spaces, hyphens and brackets only.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
 * @throws WaybillError invalid_request
 */
export function toDocument(file: unknown, at: string, parameters: RequestParameters): JsonObject {
  const { file_data: data, filename } = isJsonObject(file) ? file : {};
  const { type, bytes } = readDataUrl(textOf(data) ?? '') ?? parameters.refuse(at, 'takes files as data URLs');
  const format = DOCUMENT_FORMATS[type];
  if (format === undefined) parameters.refuse(at, `takes no documents of type ${type}`);
  const name = (textOf(filename) ?? '')
    .replace(/\.[^.]*$/, '')
    .replace(/[^A-Za-z0-9()[\]-]+/g, ' ')
    .trim();
  return { document: { format, name: name === '' ? 'document' : name, source: { bytes } } };
}

function readDataUrl(url: string): { type: string; bytes: string } | null {
  const match = DATA_URL.exec(url);
  return match === null ? null : { type: (match[1] as string).toLowerCase(), bytes: url.slice(match[0].length) };
}
