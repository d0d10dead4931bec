import type { UpstreamFailure, Verdict } from './failure.js';
import type { Rates } from './pricing.js';
import type { Secret } from './secret.js';
import type { JsonObject, Task, TaskRequest } from './task.js';
import type { UsageReport } from './usage.js';

export type HeaderFields = Record<string, string>;

/** Where one attempt goes: everything an adapter needs to know of the config, and nothing it could change. */
export interface UpstreamTarget {
  providerId: string;
  /** The id the provider knows. */
  providerModel: string;
  /** Scheme, host and path without a trailing slash, as the config or the adapter's default gives it. */
  baseUrl: string;
  /** True when the config's base_url has a path of its own, which is then used as written. */
  hasOwnPath: boolean;
  /** Sent with every request, after the adapter's own. */
  headers: HeaderFields;
  /** Merged under the client's parameters. */
  extraBody: JsonObject;
  /** Parameters this upstream rejects. */
  dropParams: readonly string[];
  /** Caps the request's output tokens; null for none. */
  maxOutputTokens: number | null;
  apiVersion: string | null;
}

export interface UpstreamRoute {
  method: 'GET' | 'POST';
  /** Absolute URL. */
  url: string;
}

/** Exactly one body: JSON text, bytes, or bytes that are made as they are sent. */
export type Payload =
  | { kind: 'json'; body: string }
  | { kind: 'bytes'; body: Uint8Array; contentType: string }
  | { kind: 'stream'; body: () => AsyncIterable<Uint8Array>; contentType: string };

/** A whole answer with a 2xx status. Header names are in lower case. */
export interface UpstreamAnswer {
  status: number;
  headers: HeaderFields;
  /** All of it; joined when it is first asked for. */
  readonly body: Buffer;
  /** The same as it came, for whoever passes megabytes on. Absent: it came in one piece. */
  readonly parts?: readonly Buffer[];
}

/** A whole answer in the client's shape. */
export interface TaskAnswer {
  /**
   * JSON in the client's shape, still without our own usage fields: as text, or, where a large answer need not change,
   * as the bytes before and after its usage. With `contentType`: exactly what the client gets.
   */
  body: string | SplitBody | Buffer;
  /** Of an answer that takes no usage of ours: that of a task without tokens, or one that is no JSON. */
  contentType?: string;
  usage: UsageReport | null;
  /** The text the model wrote, for counting where the provider reported nothing. Called only then. */
  outputTexts(): string[];
  /** Nothing but `body` refers to the provider's bytes: once it is written, they are used for other answers. */
  recyclable?: true;
  /** The same as the events of a stream, where one was asked for and the provider answered whole. */
  events?: readonly SseEvent[];
}

/** An answer that is passed on as it came, cut open where its usage stands. */
export interface SplitBody {
  before: readonly Buffer[];
  /** The usage object as the provider wrote it; null where there is none, and then the cut is before the last brace. */
  usage: string | null;
  after: readonly Buffer[];
}

/** Why an answer with a 2xx status is a failure all the same. */
export interface AnswerFault {
  kind: 'malformed' | 'status';
  status: number | null;
  code: string | null;
  type: string | null;
  param: string | null;
  message: string;
  /** How long it asks to wait; absent where it does not say. */
  retryAfterMs?: number | null;
  /** How long a model that is loading says it takes; absent where it does not say. */
  loadingMs?: number | null;
}

export type AnswerOutcome =
  | { ok: true; answer: TaskAnswer }
  /** A failed answer may still have reported what it used, and then costs that. */
  | {
      ok: false;
      fault: AnswerFault;
      usage: UsageReport | null;
      /** Of a prediction that has come to its end all the same: there is nothing to ask again, or to cancel. */
      hasEnded?: true;
    };

/** A prediction has begun, and goes on at the provider whether or not anybody asks for it. */
export interface Unfinished {
  ok: 'later';
  next: NextStep;
}

/** What to ask next for a prediction. All of it is one attempt: one key, one row, one time until the first byte. */
export interface NextStep {
  /** The provider's own name of the prediction. */
  id: string;
  /** A `GET`. With the key it must lie where the prediction was made, or it is not asked. */
  route: UpstreamRoute;
  /** After how long. */
  afterMs: number;
  /** A stream opens there; a whole answer otherwise. */
  stream?: true;
  /** The address alone gives access: asked without the key and the entry's headers, on whatever host the adapter knows. */
  keyless?: true;
  /** What ends the prediction when nobody waits for it any more; null where nothing does. */
  cancel: UpstreamRoute | null;
  /** Of a stream: where the whole prediction can be asked for after it, for the usage that the stream does not tell. */
  afterwards?: UpstreamRoute;
}

/** What one event of a stream gives. */
export type StreamStep =
  /**
   * Data for the client (one SSE event each); `content` is true when it carries text, a tool call or a finish reason,
   * `isLast` when the provider's event was its end mark as well.
   */
  | { kind: 'chunk'; data: string; content: boolean; isLast?: true }
  /** Nothing for the client: usage it did not ask for, a keep-alive, an event with no meaning here. */
  | { kind: 'nothing' }
  /** The provider's own end mark. */
  | { kind: 'done' }
  | { kind: 'fault'; fault: AnswerFault };

/** One event of a stream, framing removed: server-sent, or a message of `application/vnd.amazon.eventstream`. */
export interface SseEvent {
  /** The `event:` field, or the message's type; null when there was none. */
  name: string | null;
  data: string;
  /** The stream ended before this event did, so that its data may be cut off. */
  unterminated?: true;
}

/** Reads one stream. Pure: no I/O, no clock; one instance per attempt. */
export interface StreamReader {
  /** The largest event there may be, where the decoder's own bound is too small. */
  maxEventBytes?: number;
  read(event: SseEvent): StreamStep;
  /**
   * True when a block of whole, plain events (`data: …`, a line feed, an empty line) may pass as it is, for nothing in it
   * has to be read or changed; it is then taken note of. `block` has a character for each byte. Absent: no block may.
   */
  passes?(block: string, bytes: Buffer): boolean;
  /** True once a finish reason or the end mark came: the end of the stream is then a normal one. */
  isFinished(): boolean;
  /** The last usage that had figures; null when none came. */
  usage(): UsageReport | null;
  /** The usage chunk's data as the provider sent it, for a client that asked; null when none came apart from content. */
  usageChunk(): string | null;
  /** The text seen so far, for counting. Called at most once, at the end. */
  outputTexts(): string[];
  /** `id`, `created` and `model` of the stream's chunks, for a chunk of our own. */
  identity(): { id: string; created: number; model: string };
  /** Takes the usage from a prediction that has ended (`NextStep.afterwards`); false where it is to be asked for again. */
  readAfterwards?(answer: UpstreamAnswer): boolean;
}

/** The code of one adapter for one task: pure functions, after Hugging Face's helper pattern. */
export interface TaskHelper {
  /** @throws WaybillError invalid_request for a model's name that cannot be part of a path */
  makeRoute(request: TaskRequest, target: UpstreamTarget): UpstreamRoute;
  /** Headers beside authentication, content type and the target's own. */
  prepareHeaders?(request: TaskRequest, target: UpstreamTarget): HeaderFields;
  /** @throws WaybillError invalid_request for what this provider cannot do */
  preparePayload(request: TaskRequest, target: UpstreamTarget): Payload;
  getResponse(answer: UpstreamAnswer, request: TaskRequest, target: UpstreamTarget): AnswerOutcome | Unfinished;
  /** Absent where the task does not stream. `headers`: of the answer, their names in lower case; `step`: that led here. */
  openStream?(request: TaskRequest, target: UpstreamTarget, headers?: HeaderFields, step?: NextStep): StreamReader;
  /**
   * The call begins a prediction that goes on without us. Its answer is waited for even when the client leaves: only
   * that answer says what to cancel.
   */
  predicts?: true;
  /**
   * The content type under which the answer's bytes reach the client as they come; null for an answer that has to be read
   * first. Asked only where the request may be relayed. Absent: every answer is read first.
   */
  relays?(headers: HeaderFields): string | null;
}

/** Requests to make so that a provider lists its models, and a parser for each answer. Source of the catalogue. */
export interface ModelLister {
  makeRoute(target: UpstreamTarget): UpstreamRoute;
  parse(answer: UpstreamAnswer): Array<{ id: string; contextWindow: number | null }>;
}

/** A request about to be sent, as a signature covers it. */
export interface SignableRequest {
  method: 'GET' | 'POST';
  /** Absolute URL. */
  url: string;
  /** Everything that will be sent but the signature's own; names in lower case. */
  headers: HeaderFields;
  body: string | Uint8Array;
  /** Epoch milliseconds. */
  now: number;
  /** The entry's `region`. */
  region: string | null;
}

/** A provider is a value: an id, where it lives, how it authenticates, and a helper for each task it can do. */
export interface ProviderAdapter {
  /** The `type` in the config file. */
  id: string;
  /** Other spellings of `type`. */
  aliases?: readonly string[];
  /** Default base URL; null when the config must give one. */
  baseUrl: string | null;
  /** The provider's documentation, cited. */
  docs: string;
  /** False for a server that needs no key (a local one); a key that is set is sent all the same. */
  needsKey: boolean;
  /** Runs in this process and has no URL of its own (the sandbox). */
  inline?: boolean;
  /** What a price is where the config gives none; null for unknown. */
  defaultRates: Rates | null;
  tasks: { [T in Task]?: TaskHelper };
  /** Headers that carry the key. */
  authenticate(key: Secret): HeaderFields;
  /** Headers that sign a request, where the key is not simply sent: asked for each attempt, with its time. Pure. */
  sign?(request: SignableRequest, key: Secret): Promise<HeaderFields>;
  /** The parts of a key that are secrets by themselves: removed from what the provider says, as the key is. */
  secretsIn?(key: Secret): readonly string[];
  /** Where an entry without a `base_url` goes, for a provider with an address in each region; null for nowhere. */
  baseUrlFor?(entry: { region: string | null }): string | null;
  /** Overrides of the shared failure table; undefined leaves it to the table. */
  classify?(failure: UpstreamFailure): Verdict | undefined;
  /** A sentence that helps with this failure, for whoever reads the error; undefined for none. */
  hint?(failure: UpstreamFailure, target: Pick<UpstreamTarget, 'baseUrl'>): string | undefined;
  /** Warnings about an entry's settings that only this adapter can give, e.g. a host that is gone. */
  checkEntry?(entry: { baseUrl: string | null; region?: string | null }): string[];
  listModels?: ModelLister;
  /** An entry for a config file, with `${VAR}` keys. */
  sampleConfig(): JsonObject;
}
