/** What a client can ask for. The Hugging Face task names are passed along as they are. */
export const OPENAI_TASKS = [
  'chat',
  'completion',
  'embedding',
  'image',
  'image-edit',
  'image-variation',
  'speech',
  'transcription',
  'audio-translation',
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

/** A Hugging Face task this list does not know: its payload and its answer pass through as they are. */
export const OTHER_TASK = 'other';

export type Task = (typeof TASKS)[number] | typeof OTHER_TASK;

/** True for a task that is counted in tokens alone, and whose answers take our usage. The others have `units.ts`. */
export function isTokenTask(task: Task): boolean {
  return task === 'chat' || task === 'completion' || task === 'embedding';
}

/** True for a task that is answered with text a model wrote, which a bound of output tokens can cut. */
export function writesText(task: Task): boolean {
  switch (task) {
    case 'chat':
    case 'completion':
    case 'text-generation':
    case 'conversational':
    case 'summarization':
    case 'translation':
    case 'image-to-text':
    case 'image-text-to-text':
      return true;
    default:
      return false;
  }
}

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
  /**
   * The text from the second key on, where the first is `name` and the text is just what writing `members` again would
   * give: no spaces between them, no key twice, none that could be written in another way. Null for any other.
   */
  restAfterFirst?(name: string): string | null;
}

/** One request for a task, in the client's shape (OpenAI's). */
export interface TaskRequest {
  task: Task;
  body: JsonBody;
  stream: boolean;
  /** The answer is a file whose bytes may reach the client as they come. Absent: it is read whole first. */
  relay?: boolean;
  /** True when the client asked for the usage chunk of a stream. */
  includeUsage: boolean;
  /** What came instead of JSON, or beside it; `body` then holds the fields that were read for routing. */
  carried?: Carried;
}

/** A body that is no JSON. */
export type Carried = CarriedBytes | CarriedForm;

export interface CarriedBytes {
  kind: 'bytes';
  bytes: Buffer;
  contentType: string;
  /** Length of the audio in it, where it could be read; null for anything else. */
  audioMs: number | null;
}

/** One step of reading a form. A file's bytes follow its `file`, up to the next step of another kind. */
export type FormStep =
  | { kind: 'field'; name: string; value: string }
  | { kind: 'file'; name: string; filename: string; contentType: string }
  | { kind: 'bytes'; bytes: Buffer };

/** A `multipart/form-data` body, of which a part may still be on its way from the client. */
export interface CarriedForm {
  kind: 'form';
  /** For the form that goes upstream; no client can know it, and so none can write a part of its own into another. */
  boundary: string;
  /** From the beginning, again each time. @throws WaybillError when it breaks off or is too large */
  read(): AsyncIterable<FormStep>;
  /** True when a part of it was sent and is not kept: it cannot be sent again. */
  readonly isSpent: boolean;
  /** All of it, where it came whole before it was sent; null for one that is passed along as it comes. */
  readonly whole: readonly FormStep[] | null;
  /** The head of its first file; null until it came. */
  readonly file: { filename: string; contentType: string } | null;
  /** Bytes of its files as far as they came, or, until something came, the most they can be; null when unknown. */
  fileBytes(): number | null;
  /** Length of the audio in it, where it could be read before it was sent. */
  audioMs: number | null;
}
