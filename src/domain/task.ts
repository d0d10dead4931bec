/** What a client can ask for. The Hugging Face task names are passed along as they are. */
export const OPENAI_TASKS = [
  'chat',
  'completion',
  'embedding',
  'image',
  'speech',
  'transcription',
  'rerank',
  'moderation',
] as const;

export const HUGGING_FACE_TASKS = [
  'text-generation',
  'conversational',
  'feature-extraction',
  'sentence-similarity',
  'summarization',
  'translation',
  'fill-mask',
  'text-classification',
  'token-classification',
  'zero-shot-classification',
  'question-answering',
  'table-question-answering',
  'text-to-image',
  'image-to-image',
  'image-to-text',
  'image-text-to-text',
  'image-classification',
  'image-segmentation',
  'object-detection',
  'automatic-speech-recognition',
  'audio-classification',
  'text-to-speech',
  'text-to-video',
] as const;

export const TASKS = [...OPENAI_TASKS, ...HUGGING_FACE_TASKS] as const;

export type Task = (typeof TASKS)[number];

/** A JSON object as a client or a provider sent it. */
export type JsonObject = { [key: string]: unknown };

/**
 * A request body: parsed once, and its text beside it so that what is not touched is forwarded as it was written
 * (integers beyond 2^53 too). `members` maps each top-level key to the text of its value.
 */
export interface JsonBody {
  text: string;
  value: JsonObject;
  members: ReadonlyMap<string, string>;
}

/** One request for a task, in the client's shape (OpenAI's). */
export interface TaskRequest {
  task: Task;
  body: JsonBody;
  stream: boolean;
  /** True when the client asked for the usage chunk of a stream. */
  includeUsage: boolean;
}
