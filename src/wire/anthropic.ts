import type { RawJson } from './raw-json.js';

/**
 * The shapes of Anthropic's Messages API that the router reads and writes. What comes from outside is never trusted to
 * have them: they say what is built, and name what is looked for.
 * Source: https://platform.claude.com/docs/en/api/messages/create
 */

/** Sent where the config names no other `api_version`. Source: https://platform.claude.com/docs/en/api/versioning */
export const ANTHROPIC_VERSION = '2023-06-01';

/** A cache breakpoint, as whoever set it wrote it: `{type: "ephemeral", ttl?: "5m" | "1h"}`. */
export type CacheControl = unknown;

export interface TextBlock {
  type: 'text';
  text: string;
  cache_control?: CacheControl;
}

export type ImageSource =
  | { type: 'base64'; media_type: string; data: string }
  | { type: 'url'; url: string }
  | { type: 'file'; file_id: string };

export interface ImageBlock {
  type: 'image';
  source: ImageSource;
  cache_control?: CacheControl;
}

export interface DocumentBlock {
  type: 'document';
  source: ImageSource | { type: 'text'; media_type: 'text/plain'; data: string };
  title?: string;
  cache_control?: CacheControl;
}

/** Goes back as it came, or is refused: the signature covers it. */
export interface ThinkingBlock {
  type: 'thinking';
  thinking: string;
  signature: string;
}

export interface RedactedThinkingBlock {
  type: 'redacted_thinking';
  data: string;
}

export interface ToolUseBlock {
  type: 'tool_use';
  id: string;
  name: string;
  /** A JSON object. */
  input: RawJson;
  cache_control?: CacheControl;
}

export interface ToolResultBlock {
  type: 'tool_result';
  tool_use_id: string;
  content?: InputBlock[];
  is_error?: boolean;
  cache_control?: CacheControl;
}

/** A block the client wrote in this dialect, passed on as it is. */
export interface NativeBlock {
  type: 'image' | 'document' | 'search_result';
  cache_control?: CacheControl;
}

/** What a user's message or a tool's result is made of. */
export type InputBlock = TextBlock | ImageBlock | DocumentBlock | NativeBlock;

export type ContentBlock = InputBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock;

export interface MessageParam {
  role: 'user' | 'assistant';
  content: ContentBlock[];
}

/** Source: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons */
export type StopReason =
  | 'end_turn'
  | 'max_tokens'
  | 'stop_sequence'
  | 'tool_use'
  | 'pause_turn'
  | 'refusal'
  | 'model_context_window_exceeded';

/** OpenAI's reason for each of Anthropic's. A paused turn is not over: it must not look like a whole answer. */
const FINISH_REASONS: Readonly<Record<StopReason, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  pause_turn: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

/** OpenAI's `finish_reason`; `stop` for a reason that is not known here. */
export function finishReasonOf(stopReason: unknown): string {
  return typeof stopReason === 'string' && Object.hasOwn(FINISH_REASONS, stopReason)
    ? FINISH_REASONS[stopReason as StopReason]
    : 'stop';
}
