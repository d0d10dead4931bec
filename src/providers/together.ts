import type { JsonObject } from '../domain/task.js';
import { editMembers, rewriteAt, scanMembers } from '../wire/json-text.js';
import { type Reshape, reasoningContent } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem, reasoningAs } from './parameter-rules.js';
import { rerankHelper } from './rerank.js';

/** Log probabilities come as parallel lists, in a stream as one number: OpenAI's list is put beside, or in its place. */
const logprobsContent: Reshape = {
  needed: /"logprobs"\s*:\s*[{\d-]/,
  apply: (text, part) =>
    rewriteAt(text, ['choices', '*'], (raw) => {
      const members = raw.startsWith('{') ? scanMembers(raw) : new Map<string, string>();
      const logprobs = members.get('logprobs');
      if (logprobs === undefined) return undefined;
      const said = JSON.parse(members.get(part) ?? '{}') as JsonObject;
      const changed = withContent(logprobs, said['content']);
      return changed === null
        ? undefined
        : editMembers(raw, (key) => (key === 'logprobs' ? { raw: changed } : undefined));
    }),
};

/**
 * Together AI. Knows `max_tokens` alone; `logprobs` is how many to give for each token. Usage rides on a stream's last
 * chunk, with `cached_tokens` at its top level. Reasoning comes and goes back as `reasoning`. `response_format` is
 * OpenAI's.
 * Sources: https://docs.together.ai/reference/chat-completions-1, https://docs.together.ai/docs/logprobs,
 * https://docs.together.ai/docs/inference/chat/structured-outputs
 */
const text = openAiCompatible({
  id: 'together',
  docs: 'https://docs.together.ai/reference/chat-completions-1',
  baseUrl: 'https://api.together.ai/v1',
  streamUsage: 'comes-anyway',
  maxTokensName: () => 'max_tokens',
  parameters: {
    chat: { combine: countLogprobs, messages: [developerAsSystem, reasoningAs('reasoning')] },
  },
  reshapes: [reasoningContent, logprobsContent],
  sample: {
    id: 'together',
    type: 'together',
    api_keys: [`\${TOGETHER_API_KEY}`],
    model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  },
});

const formats = { formats: ['json', 'verbose_json'] };

/**
 * With images, speech, transcription, translation and reranking. An image's size is `width` and `height`, and its bytes in
 * base64 are asked for as `base64`. Streams of speech are Together's own, of raw samples, and are not passed on.
 * Sources: https://docs.together.ai/reference/post-images-generations, https://docs.together.ai/reference/audio-speech,
 * https://docs.together.ai/reference/audio-transcriptions, https://docs.together.ai/reference/rerank
 */
export const together = withTasks(text, {
  ...openAiMedia(['image', 'speech', 'transcription', 'audio-translation'], {
    streams: [],
    parameters: {
      image: {
        leaveOut: ['user', 'stream', 'partial_images'],
        values: { response_format: { '"b64_json"': '"base64"' } },
        combine: sizeAsSides,
      },
    },
    fields: { transcription: formats, 'audio-translation': formats },
  }),
  rerank: rerankHelper(),
});

/** `size: "512x768"` is `width: 512, height: 768`; without one the model's own. */
function sizeAsSides(members: Map<string, string>): void {
  const [, width, height] = /^"(\d+)x(\d+)"$/.exec(members.get('size') ?? '') ?? [];
  const isAuto = members.get('size') === '"auto"' || members.get('size') === 'null';
  if (width === undefined || height === undefined) {
    if (isAuto) members.delete('size');
    return;
  }
  members.delete('size');
  if (!members.has('width')) members.set('width', width);
  if (!members.has('height')) members.set('height', height);
}

/** `logprobs: true, top_logprobs: 3` is `logprobs: 3`; a number is Together's own, and stays. */
function countLogprobs(members: Map<string, string>): void {
  const top = members.get('top_logprobs');
  const asked = members.get('logprobs');
  members.delete('top_logprobs');
  if (asked === 'false') members.delete('logprobs');
  if (asked === 'true') members.set('logprobs', top === undefined || top === 'null' || top === '0' ? '1' : top);
}

/** The text of OpenAI's `logprobs`; null for what has another shape. */
function withContent(raw: string, content: unknown): string | null {
  const value: unknown = JSON.parse(raw);
  if (typeof value === 'number') {
    return typeof content === 'string' ? JSON.stringify({ content: [entry(content, value)], refusal: null }) : null;
  }
  const { tokens, token_logprobs: logprobs, top_logprobs: top } = value as JsonObject;
  if (!Array.isArray(tokens) || !Array.isArray(logprobs)) return null;
  const alternatives = Array.isArray(top) ? top : [];
  const list = tokens.map((token, index) => entry(token, logprobs[index], alternatives[index]));
  return editMembers(raw, () => undefined, [['content', JSON.stringify(list)]]);
}

function entry(token: unknown, logprob: unknown, alternatives: unknown = {}): object {
  const others = Object.entries((alternatives ?? {}) as JsonObject);
  return {
    ...named(token, logprob),
    top_logprobs: others.map(([other, its]) => named(other, its)),
  };
}

function named(token: unknown, logprob: unknown): object {
  return { token, logprob, bytes: [...Buffer.from(String(token))] };
}
