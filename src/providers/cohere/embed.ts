import type { AnswerOutcome, Payload, UpstreamAnswer, UpstreamTarget } from '../../domain/provider.js';
import type { JsonObject, TaskRequest } from '../../domain/task.js';
import { toEmbeddingFormat } from '../../wire/embedding.js';
import { malformed } from '../../wire/fault.js';
import { isJsonObject } from '../../wire/json-object.js';
import { arrayItems, scanMembers } from '../../wire/json-text.js';
import { writeJson } from '../../wire/raw-json.js';
import { readJsonAnswer } from '../json-answer.js';
import { RequestParameters } from '../request-parameters.js';
import { readCohereUsage } from './usage.js';

const IMAGE = /^data:image\//;

/**
 * A request for `/v2/embed`. An input that is a data URL of an image is embedded as that image: images alone go as
 * `images`, among texts as `inputs` (Embed 4). `input_type` is the request's or the config's (`extra_body`), or else
 * `image` for images and `search_document` for texts; `dimensions` is `output_dimension`. Vectors are asked for as
 * numbers and put into the format the client wants here, unless `embedding_types` names another one type.
 * Source: https://docs.cohere.com/reference/embed
 * @throws WaybillError invalid_request for tokens instead of texts, and for several `embedding_types`
 */
export function prepareCohereEmbed(request: TaskRequest, target: UpstreamTarget): Payload {
  const parameters = new RequestParameters(request, target, 'Cohere');
  for (const name of ['model', 'user']) parameters.take(name);
  const format = parameters.take('encoding_format') ?? 'float';
  if (format !== 'float' && format !== 'base64') {
    parameters.refuse('encoding_format', 'gives `float` or `base64`; `embedding_types` names its other types');
  }
  const inputs = [parameters.take('input')].flat();
  if (inputs.some((input) => typeof input !== 'string')) parameters.refuse('input', 'takes texts, not tokens');
  const types = parameters.take('embedding_types') ?? ['float'];
  if (!Array.isArray(types) || types.length !== 1) {
    parameters.refuse(
      'embedding_types',
      'is asked for one type at a time here: an answer has one vector for each input',
    );
  }
  const given = inputsOf(inputs as string[]);
  const inputType = parameters.take('input_type') ?? (given['images'] === undefined ? 'search_document' : 'image');
  const dimensions = parameters.takeRaw('dimensions');
  const body: JsonObject = {
    model: target.providerModel,
    ...given,
    input_type: inputType,
    embedding_types: types,
    output_dimension: parameters.takeRaw('output_dimension') ?? dimensions,
  };
  return { kind: 'json', body: writeJson({ ...body, ...parameters.rest() }) };
}

function inputsOf(inputs: readonly string[]): JsonObject {
  const images = inputs.filter((input) => IMAGE.test(input)).length;
  if (images === 0) return { texts: inputs };
  if (images === inputs.length) return { images: inputs };
  return {
    inputs: inputs.map((input) => ({
      content: [IMAGE.test(input) ? { type: 'image_url', image_url: { url: input } } : { type: 'text', text: input }],
    })),
  };
}

/** `/v2/embed`'s answer in OpenAI's shape; numbers keep their text. */
export function readCohereEmbed(answer: UpstreamAnswer, request: TaskRequest, target: UpstreamTarget): AnswerOutcome {
  const read = readJsonAnswer(answer);
  if (read.fault !== null) return { ok: false, fault: read.fault, usage: null };
  const { value, text } = read;
  const { meta } = value;
  const inputs = [request.body.value['input']].flat();
  const images = inputs.filter((input) => typeof input === 'string' && IMAGE.test(input)).length;
  const billed = isJsonObject(meta) ? { billed_units: meta['billed_units'] } : null;
  const usage = readCohereUsage(billed, { images });
  const vectors = vectorsIn(value, text);
  if (vectors?.length !== inputs.length) {
    const fault = malformed(`the provider’s answer has no vector for each of ${inputs.length} inputs`);
    return { ok: false, fault, usage: usage?.report ?? null };
  }
  const format = request.body.value['encoding_format'] === 'base64' ? 'base64' : 'float';
  const data = vectors.map((raw, index) => {
    return `{"object":"embedding","index":${index},"embedding":${toEmbeddingFormat(raw, format) ?? raw}}`;
  });
  const shown = usage === null ? '' : `,"usage":${JSON.stringify(usage.shown)}`;
  return {
    ok: true,
    answer: {
      body: `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(target.providerModel)}${shown}}`,
      usage: usage?.report ?? null,
      outputTexts: () => [],
    },
  };
}

/** The text of each vector, of the one type there is; null where there is none. */
function vectorsIn(value: JsonObject, text: string): string[] | null {
  const { embeddings } = value;
  if (!isJsonObject(embeddings)) return null;
  const type = Object.keys(embeddings).find((name) => Array.isArray(embeddings[name]));
  const raw = type === undefined ? undefined : scanMembers(scanMembers(text).get('embeddings') ?? '{}').get(type);
  return raw === undefined ? null : arrayItems(raw);
}
