import { writePng, writeWav } from './files.js';
import { fileReply, transcribe } from './media.js';
import type { Prompt } from './prompt.js';
import { type Ask, NO_TOKENS, type Reply, scriptedFailure, wholeReply } from './reply.js';
import { countTokens, hashText, seededNumbers, writeText } from './writing.js';

/** Tasks that a model of the sandbox may be named after: `sandbox-summarization`. Any other generates text. */
const NAMED_TASKS = [
  ...['summarization', 'translation', 'fill-mask', 'text-classification', 'token-classification'],
  ...['zero-shot-classification', 'question-answering', 'sentence-similarity', 'text-to-image', 'image-to-text'],
  ...['image-classification', 'object-detection', 'automatic-speech-recognition', 'audio-classification'],
  'text-to-speech',
];

const MS_PER_CHARACTER = 60;

export function taskNamed(model: string): string {
  const name = model.slice(model.lastIndexOf('/') + 1).replace(/^sandbox-/, '');
  return NAMED_TASKS.find((task) => name.startsWith(task)) ?? 'text-generation';
}

/** The texts of a task's `inputs`, whatever their shape; null where there are none. */
export function nativePrompt(inputs: unknown): Prompt | null {
  const texts = textsIn(inputs);
  return texts.length === 0 ? null : { inputs: texts, scripted: 0 };
}

/** A Hugging Face task in its own shape. `file` holds the payload's bytes where it has no `inputs`. */
export function answerNative(
  ask: Ask,
  { model, task }: { model: string; task: string },
  texts: readonly string[],
  file: Buffer,
): Reply {
  const failure = scriptedFailure(ask, model, 'huggingface');
  if (failure !== null) return failure;
  const [text = ''] = texts;
  const seed = hashText(file.length > 0 ? file.toString('latin1') : texts.join('\n'));
  if (ask.directives.errorInStream !== null) {
    return wholeReply({ error: 'The sandbox failed, as it was told to.' }, ask, { model, tokens: NO_TOKENS });
  }
  if (task === 'text-to-image' || task === 'image-to-image') return fileReply(writePng(seed), 'image/png', ask, model);
  if (task === 'text-to-speech') {
    return fileReply(writeWav(seed, text.length * MS_PER_CHARACTER), 'audio/wav', ask, model);
  }
  const answer = answerOf(task, { ask, texts, seed, file });
  if (answer === undefined) return fileReply(Buffer.from(`${task} ${seed}\n`), 'application/octet-stream', ask, model);
  const tokens = { prompt: texts.reduce((sum, one) => sum + countTokens(one), 0), completion: 0 };
  return wholeReply(answer, ask, { model, tokens });
}

interface Asked {
  ask: Ask;
  texts: readonly string[];
  seed: number;
  file: Buffer;
}

/** Undefined for a task the sandbox does not know. */
function answerOf(task: string, { ask, texts, seed, file }: Asked): unknown {
  const [text = ''] = texts;
  const written = () => writeText({ seed, words: ask.directives.chunks ?? 8, maxTokens: null, stops: [] }).text;
  const score = (salt: number) => Math.round(seededNumbers(seed + salt)() * 1e4) / 1e4;
  const words = text.split(/\s+/).filter((word) => word !== '');
  switch (task) {
    case 'summarization':
      return [{ summary_text: written() }];
    case 'translation':
      return [{ translation_text: written() }];
    case 'image-to-text':
    case 'image-text-to-text':
      return [{ generated_text: written() }];
    case 'sentence-similarity':
      return texts.slice(1).map((_, index) => score(index));
    case 'fill-mask':
      return [
        {
          score: score(0),
          token: seed % 30_000,
          token_str: 'lantern',
          sequence: text.replace(/\[MASK\]|<mask>/, 'lantern'),
        },
      ];
    case 'text-classification':
      return [
        [
          { label: 'POSITIVE', score: 0.75 },
          { label: 'NEGATIVE', score: 0.25 },
        ],
      ];
    case 'token-classification':
      return words
        .filter((word) => /^[A-Z]/.test(word))
        .map((word) => ({
          entity_group: 'PER',
          score: 0.9,
          word,
          start: text.indexOf(word),
          end: text.indexOf(word) + word.length,
        }));
    case 'zero-shot-classification': {
      const labels = labelsOf(ask.body['parameters']);
      return { sequence: text, labels, scores: labels.map((_, index) => score(index)) };
    }
    case 'question-answering':
    case 'table-question-answering':
      return { answer: words.at(-1) ?? '', score: score(0), start: 0, end: 1 };
    case 'image-classification':
    case 'audio-classification':
      return [
        { label: 'harbour', score: 0.8 },
        { label: 'meadow', score: 0.2 },
      ];
    case 'object-detection':
      return [{ label: 'lantern', score: 0.9, box: { xmin: 1, ymin: 1, xmax: 5, ymax: 6 } }];
    case 'image-segmentation':
      return [{ label: 'lantern', score: 0.9, mask: writePng(seed).toString('base64') }];
    case 'automatic-speech-recognition':
      return { text: transcribe(file.length > 0 ? file : Buffer.from(text, 'base64'), ask.directives.chunks) };
    default:
      return undefined;
  }
}

function labelsOf(parameters: unknown): string[] {
  const labels = (parameters as { candidate_labels?: unknown } | null | undefined)?.candidate_labels;
  return Array.isArray(labels) ? labels.map(String) : ['one', 'other'];
}

function textsIn(value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || depth > 8) return [];
  return Object.values(value).flatMap((item) => textsIn(item, depth + 1));
}
