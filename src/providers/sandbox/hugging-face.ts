import { DEFAULT_DIMENSIONS } from './openai.js';
import type { Input } from './prompt.js';
import { seedOf, tokensOf } from './prompt.js';
import { type Ask, jsonReply, type Reply, scriptedFailure, streamReply, wholeReply } from './reply.js';
import { countTokens, DEFAULT_WORDS, hashText, writeText, writeVector } from './writing.js';

/** Feature extraction: one vector per input, or per word where the script says `token-vectors`. No usage, as there. */
export function answerFeatures(ask: Ask, model: string, inputs: Input[], isList: boolean): Reply {
  const failure = scriptedFailure(ask, model, 'huggingface');
  if (failure !== null) return failure;
  const vectors = inputs.map((input) =>
    ask.directives.tokenVectors
      ? String(input)
          .split(/\s+/)
          .map((word) => writeVector(hashText(word), DEFAULT_DIMENSIONS))
      : writeVector(seedOf([input]), DEFAULT_DIMENSIONS),
  );
  const prompt = inputs.reduce<number>((sum, input) => sum + tokensOf(input), 0);
  const body = isList || ask.directives.tokenVectors ? vectors : vectors[0];
  return wholeReply(body, ask, { model, tokens: { prompt, completion: 0 } });
}

/** TGI's native text generation, whole and as a stream: no `[DONE]`, no usage, `data:` as TGI 3 writes it. */
export function answerGeneration(ask: Ask, model: string, input: string): Reply {
  const failure = scriptedFailure(ask, model, 'huggingface');
  if (failure !== null) return failure;
  const parameters = (ask.body['parameters'] ?? {}) as { [key: string]: unknown };
  const { max_new_tokens: maxTokens, stop, return_full_text: withPrompt } = parameters;
  const writing = writeText({
    seed: seedOf([input]),
    words: ask.directives.chunks ?? DEFAULT_WORDS,
    maxTokens: typeof maxTokens === 'number' && maxTokens >= 1 ? Math.floor(maxTokens) : null,
    stops: Array.isArray(stop) ? stop.filter((item) => typeof item === 'string') : [],
  });
  const tokens = { prompt: countTokens(input), completion: writing.tokens };
  const text = withPrompt === true ? `${input}${writing.text}` : writing.text;
  const details = {
    finish_reason: writing.finish === 'length' ? 'length' : 'eos_token',
    generated_tokens: writing.tokens,
    seed: null,
  };
  if (ask.body['stream'] !== true) {
    if (ask.directives.errorInStream !== null) return jsonReply(200, GENERATION_ERROR, { model, tokens });
    const body = [{ generated_text: text, ...(parameters['details'] === true ? { details } : {}) }];
    return wholeReply(body, ask, { model, tokens });
  }
  const last = writing.pieces.length - 1;
  const events = writing.pieces.map((piece, index) =>
    JSON.stringify({
      index: index + 1,
      token: { id: hashText(piece) % 32_000, text: piece, logprob: -0.5, special: false },
      generated_text: index === last ? text : null,
      details: index === last ? details : null,
    }),
  );
  const { errorInStream, malformed } = ask.directives;
  if (malformed) return streamReply(['{"index":1,"token":{'], ask, { model, tokens });
  if (errorInStream !== null) events.splice(errorInStream, events.length, JSON.stringify(GENERATION_ERROR));
  return streamReply(events, ask, { model, tokens });
}

const GENERATION_ERROR = { error: 'The sandbox failed, as it was told to.', error_type: 'generation' };
