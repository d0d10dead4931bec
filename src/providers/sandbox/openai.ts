import { type Choice, chatChoices, readSettings, textChoices } from './choices.js';
import type { Input } from './prompt.js';
import { seedOf, tokensOf } from './prompt.js';
import { type Ask, errorBody, errorReply, type Reply, scriptedFailure, streamReply, wholeReply } from './reply.js';
import { writeJson, writeVector } from './writing.js';

/** The sandbox keeps no time: the same request gets the same bytes. 2025-01-01. */
export const CREATED = 1_735_689_600;

export const DEFAULT_DIMENSIONS = 32;

/** `POST /v1/chat/completions` and `POST /v1/completions`. `inputs` are the prompt's texts, the script removed. */
export function answerCompletion(ask: Ask, kind: 'chat' | 'completion', inputs: Input[]): Reply {
  const model = String(ask.body['model']);
  const failure = scriptedFailure(ask, model, 'openai');
  if (failure !== null) return failure;
  const settings = readSettings(ask.body);
  if (typeof settings === 'string') {
    return errorReply(400, { message: `Invalid value for '${settings}'.`, param: settings }, { model });
  }
  const choices = kind === 'chat' ? chatChoices(ask, inputs, settings) : textChoices(ask, inputs, settings);
  const prompt = inputs.reduce<number>((sum, input) => sum + tokensOf(input), ask.directives.cached ?? 0);
  const completion = choices.reduce((sum, choice) => sum + choice.tokens, ask.directives.reasoning ?? 0);
  const answer: Answer = {
    ask,
    kind,
    model,
    choices,
    id: `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-sandbox-${seedOf(inputs).toString(16).padStart(8, '0')}`,
    tokens: { prompt, completion },
  };
  return ask.body['stream'] === true ? streamAnswer(answer) : wholeAnswer(answer);
}

interface Answer {
  ask: Ask;
  kind: 'chat' | 'completion';
  model: string;
  choices: Choice[];
  id: string;
  tokens: { prompt: number; completion: number };
}

function wholeAnswer(answer: Answer): Reply {
  const { ask, kind, model, tokens } = answer;
  if (ask.directives.errorInStream !== null) return wholeReply(sandboxError(), ask, { model, tokens });
  const choices = answer.choices.map((choice, index) =>
    kind === 'chat'
      ? { index, message: messageOf(choice), logprobs: null, finish_reason: choice.finish }
      : { index, text: choice.text, logprobs: null, finish_reason: choice.finish },
  );
  const object = kind === 'chat' ? 'chat.completion' : 'text_completion';
  const usage = ask.directives.noUsage ? {} : { usage: usageOf(answer) };
  const body = { id: answer.id, object, created: CREATED, model, system_fingerprint: 'fp_sandbox', choices, ...usage };
  return wholeReply(body, ask, { model, tokens });
}

function streamAnswer(answer: Answer): Reply {
  const { ask, kind, model, tokens } = answer;
  const { errorInStream, malformed, noUsage, noDone } = ask.directives;
  const object = kind === 'chat' ? 'chat.completion.chunk' : 'text_completion';
  const withUsage = (ask.body['stream_options'] as { include_usage?: unknown } | null | undefined)?.include_usage;
  const head = `{"id":"${answer.id}","object":"${object}","created":${CREATED},"model":${JSON.stringify(model)},"system_fingerprint":"fp_sandbox","choices":[`;
  const tail = withUsage === true && !noUsage ? '],"usage":null}' : ']}';
  if (malformed) return streamReply([head], ask, { model, tokens });
  let events = contentEvents(answer).map((choice) => `${head}${choice}${tail}`);
  if (errorInStream !== null) {
    events = [...events.slice(0, errorInStream), JSON.stringify(sandboxError())];
    return streamReply(events, ask, { model, tokens });
  }
  if (withUsage === true && !noUsage) events.push(`${head}],"usage":${JSON.stringify(usageOf(answer))}}`);
  if (!noDone) events.push('[DONE]');
  return streamReply(events, ask, { model, tokens });
}

/** The choices of each chunk as JSON: content of every choice in turn, then the finish reasons. */
function contentEvents(answer: Answer): string[] {
  const deltas = answer.choices.map((choice) => (answer.kind === 'chat' ? deltasOf(choice) : choice.pieces));
  const longest = Math.max(...deltas.map((list) => list.length));
  const events: string[] = [];
  const add = (index: number, content: unknown, finish: string | null) => {
    const part = answer.kind === 'chat' ? `"delta":${JSON.stringify(content)}` : `"text":${JSON.stringify(content)}`;
    events.push(`{"index":${index},${part},"logprobs":null,"finish_reason":${JSON.stringify(finish)}}`);
  };
  for (let step = 0; step < longest; step++) {
    for (const [index, list] of deltas.entries()) {
      if (step < list.length) add(index, list[step], null);
    }
  }
  for (const [index, choice] of answer.choices.entries()) add(index, answer.kind === 'chat' ? {} : '', choice.finish);
  return events;
}

/** The role rides on the first piece. */
function deltasOf(choice: Choice): object[] {
  if (choice.calls.length === 0) {
    const pieces = choice.pieces.length === 0 ? [''] : choice.pieces;
    return pieces.map((content, step) => (step === 0 ? { role: 'assistant', content } : { content }));
  }
  const deltas: object[] = [];
  for (const [index, call] of choice.calls.entries()) {
    const opening = { ...call, index, function: { name: call.function.name, arguments: '' } };
    const role = index === 0 ? { role: 'assistant', content: null } : {};
    deltas.push({ ...role, tool_calls: [opening] });
    for (const piece of writeJson(call.function.arguments).pieces) {
      deltas.push({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  return deltas;
}

function messageOf(choice: Choice): object {
  if (choice.calls.length > 0) return { role: 'assistant', content: null, refusal: null, tool_calls: choice.calls };
  return { role: 'assistant', content: choice.text, refusal: null };
}

function usageOf(answer: Answer): object {
  const { prompt, completion } = answer.tokens;
  const { cached, reasoning } = answer.ask.directives;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(cached === null ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
    ...(reasoning === null ? {} : { completion_tokens_details: { reasoning_tokens: reasoning } }),
  };
}

function sandboxError(): object {
  return errorBody(500, { message: 'The sandbox failed, as it was told to.', code: 'sandbox_error' });
}

/** `POST /v1/embeddings`. Vectors depend on each input alone. */
export function answerEmbeddings(ask: Ask, inputs: Input[]): Reply {
  const model = String(ask.body['model']);
  const failure = scriptedFailure(ask, model, 'openai');
  if (failure !== null) return failure;
  const { dimensions = DEFAULT_DIMENSIONS, encoding_format: encoding = 'float' } = ask.body;
  if (!Number.isInteger(dimensions) || (dimensions as number) < 1 || (dimensions as number) > 4096) {
    return errorReply(400, { message: "Invalid value for 'dimensions'.", param: 'dimensions' }, { model });
  }
  const data = inputs.map((input, index) => {
    const vector = writeVector(seedOf([input]), dimensions as number);
    const embedding = encoding === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector;
    return { object: 'embedding', index, embedding };
  });
  const prompt = inputs.reduce<number>((sum, input) => sum + tokensOf(input), 0);
  const usage = ask.directives.noUsage ? {} : { usage: { prompt_tokens: prompt, total_tokens: prompt } };
  const tokens = { prompt, completion: 0 };
  if (ask.directives.errorInStream !== null) return wholeReply(sandboxError(), ask, { model, tokens });
  return wholeReply({ object: 'list', data, model, ...usage }, ask, { model, tokens });
}
