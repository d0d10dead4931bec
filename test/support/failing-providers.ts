import { CLIENT_KEY, type Daemon, startDaemon } from './daemon.js';
import type { UpstreamStep } from './scripted-upstream.js';

/** A price that makes every token count: 1 USD and 2 USD per million. */
export const PRICE = { input_token_cost: '0.000001', output_token_cost: '0.000002' };

/** Retries without patience, so that a test of five attempts takes milliseconds. */
export const IMPATIENT = {
  retry: { max_attempts: 3, timeout: '2s', interval: '1ms', max_interval: '5ms', max_wait: '500ms' },
};

/** One entry of `llm_providers` that speaks OpenAI's dialect at a URL. */
export function provider(id: string, url: string, rest: object = {}): object {
  return {
    id,
    type: 'openai_compatible',
    base_url: `${url}/v1`,
    api_keys: [`key-of-${id}`],
    models: [{ id: 'm', tasks: ['chat', 'completion', 'embedding'] }],
    pricing: PRICE,
    ...rest,
  };
}

export function startRouter(providers: object[], rest: { [key: string]: unknown } = {}): Promise<Daemon> {
  return startDaemon({ config: { llm_providers: providers, policy: IMPATIENT, ...rest } });
}

export function chatBody(rest: object = {}): object {
  return { model: 'm', messages: [{ role: 'user', content: 'How many?' }], ...rest };
}

/** A chat answer that reports 10 tokens in and 5 out: 20,000 nano-USD at `PRICE`. */
export function answer(content = 'five words it is then'): UpstreamStep {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    }),
  };
}

export function failure(
  status: number,
  body: object | string = { error: { message: 'no' } },
  headers = {},
): UpstreamStep {
  const isText = typeof body === 'string';
  return {
    status,
    headers: { 'content-type': isText ? 'text/plain' : 'application/json', ...headers },
    body: isText ? body : JSON.stringify(body),
  };
}

export function chunk(delta: object, rest: object = {}): string {
  return JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: null, ...rest }],
  });
}

/** A stream of three words, its finish and its usage. */
export function stream(rest: Partial<UpstreamStep> = {}): UpstreamStep {
  const usage = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [] };
  return {
    sse: [
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'one ' }),
      chunk({ content: 'two ' }),
      chunk({ content: 'three' }),
      chunk({}, { finish_reason: 'stop' }),
      JSON.stringify({ ...usage, usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }),
      '[DONE]',
    ],
    ...rest,
  };
}

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string };
}

export interface LedgerRequest {
  inference_id: string;
  outcome: string;
  status: number;
  provider: string | null;
  cost_nano_usd: number | null;
  usage: { [name: string]: number | string | null } | null;
  attempts: Array<{
    attempt: number;
    provider: string;
    key: string;
    outcome: string;
    status: number | null;
    error_code: string | null;
    cost_nano_usd: number | null;
    usage: { [name: string]: number | string | null } | null;
  }>;
}

/** The ledger's record of an answer, by its Inference-Id. */
export function recordOf(daemon: Daemon, response: Response): Promise<LedgerRequest> {
  return daemon.admin<LedgerRequest>(`/requests/${response.headers.get('inference-id')}`);
}

/** A raw request whose connection can be cut. */
export function abortable(daemon: Daemon, body: object): { response: Promise<Response>; abort: () => void } {
  const controller = new AbortController();
  const response = fetch(`${daemon.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${CLIENT_KEY}` },
    body: JSON.stringify(body),
    signal: controller.signal,
  });
  return { response, abort: () => controller.abort() };
}
