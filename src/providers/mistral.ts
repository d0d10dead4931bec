import { createHash } from 'node:crypto';
import { arrayItems, editMembers, rewriteAt, scanMembers } from '../wire/json-text.js';
import { type MediaEvents, TRANSCRIPT_EVENTS } from '../wire/media-stream.js';
import type { Reshape } from '../wire/reshape.js';
import { openAiCompatible } from './openai-compatible.js';
import { openAiMedia, withTasks } from './openai-media.js';
import { developerAsSystem, NO_EFFECT } from './parameter-rules.js';

/** The only ids of tool calls it takes. */
const TOOL_CALL_ID = /^"[a-zA-Z0-9]{9}"$/;

/**
 * A model that reasons answers with a list of parts, `thinking` before `text`: their texts become `reasoning_content` and
 * `content`. Parts of other kinds (references) have no place there.
 */
const partsAsText: Reshape = {
  needed: /"content"\s*:\s*\[/,
  apply: (text, part) =>
    rewriteAt(text, ['choices', '*', part], (raw) => {
      const content = raw.startsWith('{') ? scanMembers(raw).get('content') : undefined;
      if (content === undefined || !content.startsWith('[')) return undefined;
      const { texts, thoughts } = readParts(content);
      return editMembers(
        raw,
        (key) => (key === 'content' ? { raw: texts === null ? 'null' : JSON.stringify(texts) } : undefined),
        thoughts === null ? [] : [['reasoning_content', JSON.stringify(thoughts)]],
      );
    }),
};

/**
 * Mistral: chat and embeddings. Refuses members it does not know: `stream_options` (usage rides on the last chunk),
 * `max_completion_tokens`, `store` and the like; the seed is `random_seed`. Ids of tool calls are nine letters and
 * digits: those of other providers are mapped to such. Reasoning comes and goes back as a list of content parts.
 * Sources: https://docs.mistral.ai/api/, https://docs.mistral.ai/inference/conversations/reasoning,
 * https://mistralai.github.io/mistral-common/usage/tools/
 */
const text = openAiCompatible({
  id: 'mistral',
  docs: 'https://docs.mistral.ai/api/',
  baseUrl: 'https://api.mistral.ai/v1',
  tasks: ['chat', 'embedding'],
  streamUsage: 'refused',
  maxTokensName: () => 'max_tokens',
  parameters: {
    chat: {
      rename: { seed: 'random_seed' },
      leaveOut: NO_EFFECT,
      refuse: ['logprobs', 'top_logprobs', 'logit_bias', 'verbosity'],
      messages: [developerAsSystem, toolCallIds, reasoningAsParts],
    },
    // Vectors are turned into the format that was asked for where they arrive.
    embedding: { rename: { dimensions: 'output_dimension' }, leaveOut: ['user', 'encoding_format'] },
  },
  reshapes: [partsAsText],
  sample: { id: 'mistral', type: 'mistral', api_keys: [`\${MISTRAL_API_KEY}`], model: 'mistral-small-latest' },
});

/** Mistral's words for the events of a transcription. */
const EVENT_TYPES: ReadonlyMap<unknown, string> = new Map([
  ['transcription.text.delta', 'transcript.text.delta'],
  ['transcription.segment', 'transcript.text.segment'],
  ['transcription.done', 'transcript.text.done'],
]);

const transcriptEvents: MediaEvents = {
  ...TRANSCRIPT_EVENTS,
  spelled({ type: own, text: said, ...rest }) {
    const type = EVENT_TYPES.get(own);
    if (type === undefined) return null;
    return { type, [type === 'transcript.text.delta' ? 'delta' : 'text']: said, ...rest };
  },
};

/**
 * With transcription, in JSON alone and without a prompt, and moderation. Usage tells the recording's length.
 * Sources: https://docs.mistral.ai/studio/audio/speech-to-text/transcribe-files,
 * https://docs.mistral.ai/api/endpoint/audio/transcriptions, https://docs.mistral.ai/api/endpoint/classifiers
 */
export const mistral = withTasks(
  text,
  openAiMedia(['transcription', 'moderation'], {
    events: { transcription: transcriptEvents },
    fields: { transcription: { refuse: ['prompt'], formats: ['json'] } },
  }),
);

function readParts(content: string): { texts: string | null; thoughts: string | null } {
  let texts: string | null = null;
  let thoughts: string | null = null;
  for (const part of JSON.parse(content) as unknown[]) {
    const { type, text, thinking } = (part ?? {}) as { [key: string]: unknown };
    if (type === 'thinking') thoughts = (thoughts ?? '') + thoughtOf(thinking);
    else if (typeof text === 'string') texts = (texts ?? '') + text;
  }
  return { texts, thoughts };
}

/** A list of text parts, or a text. */
function thoughtOf(thinking: unknown): string {
  if (typeof thinking === 'string') return thinking;
  return Array.isArray(thinking) ? (readParts(JSON.stringify(thinking)).texts ?? '') : '';
}

function toolCallIds(messages: string): string {
  if (!messages.includes('"tool_call')) return messages;
  const fit = (raw: string) => (TOOL_CALL_ID.test(raw) || !raw.startsWith('"') ? undefined : shortId(raw));
  return rewriteAt(rewriteAt(messages, ['*', 'tool_calls', '*', 'id'], fit), ['*', 'tool_call_id'], fit);
}

/** The same for the same id, wherever it stands. */
function shortId(raw: string): string {
  const id = JSON.parse(raw) as string;
  return JSON.stringify(createHash('sha256').update(id).digest('hex').slice(0, 9));
}

function reasoningAsParts(messages: string): string {
  if (!messages.includes('"reasoning_content"')) return messages;
  return rewriteAt(messages, ['*'], (raw) => {
    const members = raw.startsWith('{') ? scanMembers(raw) : new Map<string, string>();
    const reasoning = members.get('reasoning_content');
    if (reasoning === undefined) return undefined;
    const isGiven = reasoning.startsWith('"') && reasoning !== '""';
    const content = members.get('content') ?? 'null';
    const parts = isGiven ? [`{"type":"thinking","thinking":[{"type":"text","text":${reasoning}}]}`] : [];
    if (content.startsWith('[')) parts.push(...arrayItems(content));
    else if (content !== 'null' && content !== '""') parts.push(`{"type":"text","text":${content}}`);
    const edited = isGiven ? { raw: `[${parts.join(',')}]` } : undefined;
    const isThere = members.has('content');
    return editMembers(
      raw,
      (key) => (key === 'reasoning_content' ? null : key === 'content' ? edited : undefined),
      edited === undefined || isThere ? [] : [['content', edited.raw]],
    );
  });
}
