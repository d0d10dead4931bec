import { lengthMs, writePng, writeWav } from './files.js';
import { CREATED } from './openai.js';
import { type Ask, errorBody, NO_TOKENS, type Reply, streamReply } from './reply.js';
import { countTokens, hashText } from './writing.js';

const AUDIO_BYTES_PER_EVENT = 1_024;
/** What a picture is said to have cost. */
const TOKENS_PER_IMAGE = 272;
const MAX_PARTIAL_IMAGES = 3;

/** True for a request whose answer is wanted as events. A form's fields are texts. */
export function wantsEvents({ body }: Ask): boolean {
  return body['stream'] === true || body['stream'] === 'true' || body['stream_format'] === 'sse';
}

/** Speech in pieces, and what it used. */
export function speechEvents(ask: Ask, model: string, text: string, ms: number): Reply {
  const wav = writeWav(hashText(text), ms);
  const events: object[] = [];
  for (let at = 0; at < wav.length; at += AUDIO_BYTES_PER_EVENT) {
    const audio = wav.subarray(at, at + AUDIO_BYTES_PER_EVENT).toString('base64');
    events.push({ type: 'speech.audio.delta', audio });
  }
  const [input, output] = [countTokens(text), Math.ceil(ms / 50)];
  return eventsReply(ask, model, events, { type: 'speech.audio.done', ...usageOf(ask, tokens(input, output)) });
}

/** A transcription word by word. */
export function transcriptEvents(ask: Ask, model: string, text: string, file: Buffer): Reply {
  const deltas = text.split(/(?= )/).map((delta) => ({ type: 'transcript.text.delta', delta }));
  const usage = { type: 'duration', seconds: Math.ceil(lengthMs(file) / 1_000) };
  return eventsReply(ask, model, deltas, { type: 'transcript.text.done', text, ...usageOf(ask, usage) });
}

/** Previews of a picture as many as are asked for, and the picture. */
export function imageEvents(ask: Ask, model: string, prompt: string, name: 'image_generation' | 'image_edit'): Reply {
  const partials = Math.min(Number(ask.body['partial_images'] ?? 0) || 0, MAX_PARTIAL_IMAGES);
  const picture = (salt: number) => ({
    b64_json: writePng(hashText(prompt) + salt).toString('base64'),
    created_at: CREATED,
    size: '1024x1024',
    quality: 'low',
    background: 'opaque',
    output_format: 'png',
  });
  const events = Array.from({ length: partials }, (_, index) => ({
    type: `${name}.partial_image`,
    ...picture(index + 1),
    partial_image_index: index,
  }));
  const usage = tokens(countTokens(prompt), TOKENS_PER_IMAGE);
  return eventsReply(ask, model, events, { type: `${name}.completed`, ...picture(0), ...usageOf(ask, usage) });
}

/** As OpenAI sends them: without an end mark. */
function eventsReply(ask: Ask, model: string, parts: readonly object[], final: object): Reply {
  const { errorInStream, malformed } = ask.directives;
  const rest = { model, tokens: NO_TOKENS };
  const events = [...parts, final].map((event) => JSON.stringify(event));
  if (malformed)
    return streamReply(
      events.slice(0, 1).map((event) => event.slice(0, -2)),
      ask,
      rest,
    );
  if (errorInStream === null) return streamReply(events, ask, rest);
  const error = errorBody(500, { message: 'The sandbox failed, as it was told to.', code: 'sandbox_error' });
  return streamReply([...events.slice(0, errorInStream), JSON.stringify(error)], ask, rest);
}

function usageOf({ directives }: Ask, usage: object): object {
  return directives.noUsage ? {} : { usage };
}

function tokens(input: number, output: number): object {
  return { input_tokens: input, output_tokens: output, total_tokens: input + output };
}
