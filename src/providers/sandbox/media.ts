import { lengthMs, writePng, writeWav } from './files.js';
import { imageEvents, speechEvents, transcriptEvents, wantsEvents } from './media-stream.js';
import { CREATED } from './openai.js';
import type { Prompt } from './prompt.js';
import { type Ask, errorReply, NO_TOKENS, type Reply, scriptedFailure, wholeReply } from './reply.js';
import { countTokens, hashText, seededNumbers, writeText } from './writing.js';

export type MediaTask =
  | ('image' | 'image-edit' | 'image-variation')
  | ('speech' | 'transcription' | 'audio-translation')
  | ('rerank' | 'moderation');

const PATHS: Readonly<Record<string, MediaTask>> = {
  '/v1/images/generations': 'image',
  '/v1/images/edits': 'image-edit',
  '/v1/images/variations': 'image-variation',
  '/v1/audio/speech': 'speech',
  '/v1/audio/transcriptions': 'transcription',
  '/v1/audio/translations': 'audio-translation',
  '/v1/rerank': 'rerank',
  '/v1/moderations': 'moderation',
};

/** Speech takes so long for each letter. */
const MS_PER_CHARACTER = 60;
const DOCUMENTS_PER_SEARCH_UNIT = 100;
/** Words that are flagged, and as what. */
const FLAGGED: Readonly<Record<string, string>> = { kill: 'violence', hate: 'hate', hurt: 'harassment' };

export function mediaTaskAt(path: string): MediaTask | null {
  return PATHS[path] ?? null;
}

/** What a request asks about; the name of the member that is wrong otherwise. */
export function mediaPrompt(task: MediaTask, body: { [key: string]: unknown }, file?: Buffer): Prompt | string {
  switch (task) {
    case 'image-edit':
      if (file === undefined && body['images'] === undefined && body['image'] === undefined) return 'image';
      return typeof body['prompt'] === 'string' ? { inputs: [body['prompt']], scripted: 0 } : 'prompt';
    case 'image':
      return typeof body['prompt'] === 'string' ? { inputs: [body['prompt']], scripted: 0 } : 'prompt';
    case 'image-variation':
      return file === undefined ? 'image' : { inputs: [''], scripted: 0 };
    case 'speech':
      return typeof body['input'] === 'string' ? { inputs: [body['input']], scripted: 0 } : 'input';
    case 'transcription':
    case 'audio-translation':
      return file === undefined ? 'file' : { inputs: [String(body['prompt'] ?? '')], scripted: 0 };
    case 'rerank': {
      const { query, documents } = body;
      if (typeof query !== 'string') return 'query';
      return Array.isArray(documents) && documents.length > 0
        ? { inputs: [query, ...documents.map(documentText)], scripted: 0 }
        : 'documents';
    }
    case 'moderation': {
      const inputs = [body['input']].flat().map(documentText);
      return body['input'] === undefined ? 'input' : { inputs, scripted: 0 };
    }
  }
}

/** The tasks beside text and vectors, in OpenAI's dialect; the texts are those of `mediaPrompt`, the script removed. */
export function answerMedia(ask: Ask, task: MediaTask, texts: readonly string[], file: Buffer): Reply {
  const model = String(ask.body['model']);
  const failure = scriptedFailure(ask, model, 'openai');
  if (failure !== null) return failure;
  const [text = ''] = texts;
  if (wantsEvents(ask)) {
    if (task === 'speech') return speechEvents(ask, model, text, text.length * MS_PER_CHARACTER);
    if (task === 'transcription') return transcriptEvents(ask, model, transcribe(file, ask.directives.chunks), file);
    if (task === 'image') return imageEvents(ask, model, text, 'image_generation');
    if (task === 'image-edit') return imageEvents(ask, model, text, 'image_edit');
  }
  if (ask.directives.errorInStream !== null) return wholeReply(FAILED, ask, { model, tokens: NO_TOKENS });
  switch (task) {
    case 'image':
    case 'image-edit':
      return imageReply(ask, model, text);
    case 'image-variation':
      return imageReply(ask, model, file.toString('latin1'));
    case 'speech':
      return fileReply(writeWav(hashText(text), text.length * MS_PER_CHARACTER), 'audio/wav', ask, model);
    case 'transcription':
    case 'audio-translation':
      return transcriptionReply(ask, model, file);
    case 'rerank':
      return rerankReply(ask, model, texts);
    case 'moderation':
      return moderationReply(ask, model, texts);
  }
}

/** A file as an answer, cut or spoiled as the script says. */
export function fileReply(file: Buffer, contentType: string, ask: Ask, model: string): Reply {
  const reply = wholeReply({}, ask, { model, tokens: NO_TOKENS });
  if (ask.directives.malformed) return reply;
  return { ...reply, headers: { 'content-type': contentType }, frames: [file] };
}

/** What is said in a recording: a function of its bytes. */
export function transcribe(file: Buffer, words: number | null): string {
  const seconds = Math.ceil(lengthMs(file) / 1_000);
  return writeText({
    seed: hashText(file.toString('latin1')),
    words: words ?? 2 * seconds + 1,
    maxTokens: null,
    stops: [],
  }).text;
}

const FAILED = {
  error: {
    message: 'The sandbox failed, as it was told to.',
    type: 'server_error',
    param: null,
    code: 'sandbox_error',
  },
};

function imageReply(ask: Ask, model: string, prompt: string): Reply {
  // A form's fields are texts.
  const n = Number(ask.body['n'] ?? 1);
  if (!Number.isInteger(n) || n < 1 || n > 10) {
    return errorReply(400, { message: "Invalid value for 'n'.", param: 'n' }, { model });
  }
  const data = Array.from({ length: n }, (_, index) => ({
    b64_json: writePng(hashText(prompt) + index).toString('base64'),
  }));
  return wholeReply({ created: CREATED, data }, ask, { model, tokens: NO_TOKENS });
}

function transcriptionReply(ask: Ask, model: string, file: Buffer): Reply {
  const text = transcribe(file, ask.directives.chunks);
  const seconds = lengthMs(file) / 1_000;
  const format = String(ask.body['response_format'] ?? 'json');
  if (format === 'text') return fileReply(Buffer.from(`${text}\n`), 'text/plain; charset=utf-8', ask, model);
  if (format === 'srt' || format === 'vtt') {
    const end = `00:00:0${Math.min(9, Math.ceil(seconds))}`;
    const body =
      format === 'srt' ? `1\n00:00:00,000 --> ${end},000\n${text}\n` : `WEBVTT\n\n00:00.000 --> ${end}.000\n${text}\n`;
    return fileReply(Buffer.from(body), 'text/plain; charset=utf-8', ask, model);
  }
  const verbose = format === 'verbose_json' ? { task: 'transcribe', language: 'english', duration: seconds } : {};
  const usage = ask.directives.noUsage ? {} : { usage: { type: 'duration', seconds: Math.ceil(seconds) } };
  return wholeReply({ ...verbose, text, ...usage }, ask, { model, tokens: NO_TOKENS });
}

function rerankReply(ask: Ask, model: string, [query = '', ...documents]: readonly string[]): Reply {
  const { top_n: top = documents.length, return_documents: withText } = ask.body;
  const results = documents
    .map((text, index) => ({
      index,
      relevance_score: relevance(query, text),
      ...(withText === true ? { document: { text } } : {}),
    }))
    .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
    .slice(0, typeof top === 'number' ? top : documents.length);
  const total = documents.reduce((sum, text) => sum + countTokens(query) + countTokens(text), 0);
  const searchUnits = Math.ceil(documents.length / DOCUMENTS_PER_SEARCH_UNIT);
  const usage = ask.directives.noUsage
    ? {}
    : { usage: { total_tokens: total }, meta: { billed_units: { search_units: searchUnits } } };
  return wholeReply({ model, results, ...usage }, ask, { model, tokens: { prompt: total, completion: 0 } });
}

/** The share of the query's words that stand in the text, and a little that tells texts apart. */
function relevance(query: string, text: string): number {
  const words = new Set(wordsOf(text));
  const wanted = wordsOf(query);
  const found = wanted.filter((word) => words.has(word)).length;
  const share = wanted.length === 0 ? 0 : found / wanted.length;
  return Math.round((share * 0.9 + seededNumbers(hashText(text))() * 0.05) * 1e6) / 1e6;
}

function moderationReply(ask: Ask, model: string, texts: readonly string[]): Reply {
  const names = [...new Set(Object.values(FLAGGED))];
  const results = texts.map((text) => {
    const hit = new Set(wordsOf(text).flatMap((word) => FLAGGED[word] ?? []));
    const categories = Object.fromEntries(names.map((name) => [name, hit.has(name)]));
    const scores = Object.fromEntries(names.map((name) => [name, hit.has(name) ? 0.9 : 0.01]));
    return { flagged: hit.size > 0, categories, category_scores: scores };
  });
  const id = `modr-sandbox-${hashText(texts.join('\n')).toString(16)}`;
  return wholeReply({ id, model, results }, ask, { model, tokens: NO_TOKENS });
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function documentText(document: unknown): string {
  if (typeof document === 'string') return document;
  const text: unknown = typeof document === 'object' && document !== null ? (document as { text?: unknown }).text : '';
  return typeof text === 'string' ? text : '';
}
