import type { ProviderAdapter, UpstreamTarget } from '../domain/provider.js';
import type { CarriedForm, TaskRequest } from '../domain/task.js';
import { isJsonObject } from '../wire/json-object.js';
import { refuse } from '../wire/task-request.js';
import { membersOf, namedPayload } from './json-payload.js';
import { openAiMedia } from './openai-media.js';

/** An image as xAI takes it: an address, which may hold the bytes. */
interface GrokImage {
  type: 'image_url';
  url: string;
}

const usual = openAiMedia(['image', 'image-edit'], { streams: [] });
const edit = usual['image-edit'];

/**
 * xAI's images, and their edits, which are asked in JSON alone: a form's files become addresses with their bytes, OpenAI's
 * `images` are its `image`, or `images` where there are several. There are no masks and no streams.
 * Sources: https://docs.x.ai/developers/model-capabilities/images, https://docs.x.ai/docs/guides/image-generations
 */
export const grokImages: ProviderAdapter['tasks'] =
  edit === undefined ? usual : { ...usual, 'image-edit': { ...edit, preparePayload: prepareEdit } };

function prepareEdit(request: TaskRequest, target: UpstreamTarget) {
  if (request.stream) refuse('stream', 'this provider answers whole; leave it out');
  const members = membersOf(request, target);
  for (const name of ['stream', 'partial_images']) members.delete(name);
  if (request.body.value['mask'] !== undefined) refuse('mask', 'is not supported by xAI');
  const { carried } = request;
  const images = carried?.kind === 'form' ? imagesIn(carried) : imagesOf(request);
  for (const name of ['image', 'images']) members.delete(name);
  const [first] = images;
  if (images.length === 1) members.set('image', JSON.stringify(first));
  else members.set('images', JSON.stringify(images));
  // A form's fields are texts.
  const { n } = request.body.value;
  if (carried !== undefined && typeof n === 'string') members.set('n', String(Number(n)));
  return namedPayload(members, target);
}

/** Of a body in JSON: `images: [{image_url}]`, or `image` and `images` as xAI has them. */
function imagesOf({ body: { value } }: TaskRequest): GrokImage[] {
  const given = Array.isArray(value['images']) ? value['images'] : [value['image']];
  return given.map((image, index) => {
    const url = isJsonObject(image) ? (image['image_url'] ?? image['url']) : image;
    if (typeof url === 'string') return { type: 'image_url', url };
    return refuse(`images[${index}]`, 'must have an `image_url` for xAI, which takes no ids of files');
  });
}

/** A form's files as addresses. */
function imagesIn({ whole }: CarriedForm): GrokImage[] {
  if (whole === null) throw new Error('a form of images that is not whole');
  const files: Array<{ contentType: string; parts: Buffer[] }> = [];
  for (const step of whole) {
    if (step.kind === 'file' && step.name === 'mask') refuse('mask', 'is not supported by xAI');
    if (step.kind === 'file') files.push({ contentType: step.contentType, parts: [] });
    if (step.kind === 'bytes') files.at(-1)?.parts.push(step.bytes);
  }
  return files.map(({ contentType, parts }) => ({
    type: 'image_url',
    url: `data:${contentType};base64,${Buffer.concat(parts).toString('base64')}`,
  }));
}
