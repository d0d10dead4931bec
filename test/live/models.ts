import type { ProviderAdapter } from '../../src/domain/provider.js';
import { isTokenTask, type Task } from '../../src/domain/task.js';
import { NotReadyError } from './entry.js';
import { listOf } from './said.js';

type Models = { readonly [T in Task]?: string };

/** Small models that do what the entry's own `model` does not. Providers retire models: `--model` names another. */
const BY_ADAPTER: Readonly<Record<string, Models>> = {
  openai: {
    completion: 'gpt-3.5-turbo-instruct',
    embedding: 'text-embedding-3-small',
    image: 'gpt-image-1-mini',
    'image-edit': 'gpt-image-1-mini',
    'image-variation': 'dall-e-2',
    speech: 'gpt-4o-mini-tts',
    transcription: 'gpt-4o-mini-transcribe',
    'audio-translation': 'whisper-1',
    moderation: 'omni-moderation-latest',
  },
  gemini: {
    embedding: 'gemini-embedding-001',
    image: 'gemini-2.5-flash-image',
    speech: 'gemini-2.5-flash-preview-tts',
  },
  mistral: {
    embedding: 'mistral-embed',
    transcription: 'voxtral-mini-latest',
    moderation: 'mistral-moderation-latest',
  },
  groq: { transcription: 'whisper-large-v3-turbo', 'audio-translation': 'whisper-large-v3' },
  cohere: { embedding: 'embed-v4.0', rerank: 'rerank-v3.5' },
  voyage: { embedding: 'voyage-3.5-lite', rerank: 'rerank-2.5-lite' },
  jina: { embedding: 'jina-embeddings-v3', rerank: 'jina-reranker-v2-base-multilingual' },
  huggingface: {
    embedding: 'sentence-transformers/all-MiniLM-L6-v2',
    'feature-extraction': 'sentence-transformers/all-MiniLM-L6-v2',
    'sentence-similarity': 'sentence-transformers/all-MiniLM-L6-v2',
    rerank: 'BAAI/bge-reranker-base',
    summarization: 'facebook/bart-large-cnn',
    translation: 'google-t5/t5-small',
    'fill-mask': 'google-bert/bert-base-uncased',
    'text-classification': 'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
    'token-classification': 'dslim/bert-base-NER',
    'zero-shot-classification': 'facebook/bart-large-mnli',
    'question-answering': 'deepset/roberta-base-squad2',
    'table-question-answering': 'google/tapas-base-finetuned-wtq',
    'text-to-image': 'black-forest-labs/FLUX.1-schnell',
    'image-classification': 'google/vit-base-patch16-224',
    'image-segmentation': 'nvidia/segformer-b0-finetuned-ade-512-512',
    'object-detection': 'facebook/detr-resnet-50',
    'automatic-speech-recognition': 'openai/whisper-large-v3',
  },
};

/** Tasks that the entry's own `model` is for; where an adapter has embeddings alone, it is for those. */
const OWN: readonly Task[] = ['chat', 'completion', 'conversational', 'text-generation'];

/**
 * The model a task is tried with: what was asked for, else of the table, else of the sample entry. Null when none is known:
 * a task is not tried with a model that was made for another.
 */
export function modelFor(adapter: ProviderAdapter, task: Task, asked: ReadonlyMap<string, string>): string | null {
  const { model: own, models } = adapter.sampleConfig();
  const offered = listOf(models).find(({ tasks }) => Array.isArray(tasks) && tasks.includes(task))?.['id'];
  const fits = OWN.includes(task) || adapter.inline === true || (isTokenTask(task) && adapter.tasks.chat === undefined);
  const fallback = typeof offered === 'string' ? offered : typeof own === 'string' && fits ? own : null;
  return asked.get(task) ?? BY_ADAPTER[adapter.id]?.[task] ?? fallback;
}

/**
 * `task=model` pairs, as `--model` and `WAYBILL_LIVE_MODELS` (separated by commas) give them.
 * @throws NotReadyError that says what is wrong with one
 */
export function parseModels(pairs: readonly string[]): Map<string, string> {
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1 || at === pair.length - 1) throw new NotReadyError(`"${pair}": a model is named as TASK=ID`);
      return [pair.slice(0, at), pair.slice(at + 1)] as const;
    }),
  );
}
