import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseScript, resolveDirectives } from '../../../src/providers/sandbox/script.js';
import { type RunningSandbox, startSandbox } from '../../../src/providers/sandbox/server.js';

let sandbox: RunningSandbox;

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

function chat(content: string, rest: object = {}, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${sandbox.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'sandbox-small', messages: [{ role: 'user', content }], ...rest }),
  });
}

const usageOf = async (response: Response) => ((await response.json()) as { usage?: object }).usage;

const withUsage = { stream: true, stream_options: { include_usage: true } };

/** What arrived before the connection broke, and whether it did. */
async function readAll(response: Response): Promise<{ text: string; broken: boolean }> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const part of response.body as AsyncIterable<Uint8Array>) text += decoder.decode(part, { stream: true });
  } catch {
    return { text, broken: true };
  }
  return { text, broken: false };
}

describe('where a script stands', () => {
  it('is read from the first line of the last user message, and is neither counted nor part of the prompt', async () => {
    const plain = await (await chat('one two')).json();
    const scripted = await (await chat('[[delay=1]] [[delay=2]]\none two')).json();
    expect(scripted).toEqual(plain);
    const sameLine = await (await chat('[[delay=1]] one two')).json();
    expect(sameLine).toEqual(plain);
  });

  it('is read from the header too', async () => {
    const response = await chat('x', {}, { 'x-sandbox-script': '[[status=418]]' });
    expect(response.status).toBe(418);
    await response.text();
  });

  it('leaves brackets further on alone', async () => {
    const usage = await usageOf(await chat('see [[status=500]] here\n[[status=500]]'));
    expect(usage).toMatchObject({ prompt_tokens: 4 });
  });

  it.each(['[[stauts=429]]', '[[status=200]]', '[[status]]', '[[crlf=yes]]', '[[delay=-1]]', '[[times=x]]'])(
    'answers 400 naming the words it does not know: %s',
    async (script) => {
      const response = await chat(`${script} x`);
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { message: string } };
      expect(error.message).toContain(script.slice(2, -2));
    },
  );
});

describe('failures', () => {
  it('answers the status with retry-after and code', async () => {
    const response = await chat('[[status=429 retry-after=7 code=insufficient_quota]] x');
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('7');
    expect(await response.json()).toMatchObject({ error: { type: 'insufficient_quota', code: 'insufficient_quota' } });
  });

  it('is loading the first N times for a prompt, then answers', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) {
      const response = await chat('[[loading=12.5 times=2]] wake up');
      const body = (await response.json()) as { estimated_time?: number };
      statuses.push(response.status);
      expect(body.estimated_time).toBe(i < 2 ? 12.5 : undefined);
    }
    expect(statuses).toEqual([503, 503, 200, 200]);
    const other = await chat('[[loading=12.5 times=2]] another prompt');
    expect(other.status).toBe(503);
    await other.text();
  });

  it('goes through groups in order, each for its turns and its key', async () => {
    const script = '[[status=429 times=1 key=k1]] [[status=503 times=1 key=k1]] [[status=401 key=k1]] in order';
    const ask = async (key: string) => {
      const response = await chat(script, {}, { authorization: `Bearer ${key}` });
      await response.text();
      return response.status;
    };
    expect([await ask('k1'), await ask('k2'), await ask('k1'), await ask('k1'), await ask('k1')]).toEqual([
      429, 200, 503, 401, 401,
    ]);
  });

  it('breaks a whole answer after so many bytes, and unanswered after none', async () => {
    const { text, broken } = await readAll(await chat('[[cut-after=5]] x'));
    expect(broken).toBe(true);
    expect(text).toBe('{"id"');
    await expect(chat('[[cut-after=0]] x')).rejects.toThrow();
  });

  it('breaks a stream after so many chunks', async () => {
    const { text, broken } = await readAll(await chat('[[cut-after=5]] x', { stream: true }));
    expect(broken).toBe(true);
    expect(text.match(/data: /g)).toHaveLength(5);
    expect(text).not.toContain('[DONE]');
  });

  it('sends an error inside a 200', async () => {
    const whole = await chat('[[error-in-stream]] x');
    expect(whole.status).toBe(200);
    expect(await whole.json()).toMatchObject({ error: { type: 'server_error' } });
    const streamed = await (await chat('[[error-in-stream=3]] x', { stream: true })).text();
    const events = streamed.trim().split('\n\n');
    expect(events).toHaveLength(4);
    expect(events[3]).toContain('"error"');
  });

  it('sends what is not JSON', async () => {
    const whole = await (await chat('[[malformed]] x')).text();
    expect(() => JSON.parse(whole)).toThrow();
    const streamed = await (await chat('[[malformed]] x', { stream: true })).text();
    expect(() => JSON.parse(streamed.replace('data: ', ''))).toThrow();
  });
});

describe('shapes', () => {
  it('leaves the usage out', async () => {
    expect(await usageOf(await chat('[[no-usage]] x'))).toBeUndefined();
    const streamed = await (await chat('[[no-usage]] x', withUsage)).text();
    expect(streamed).not.toContain('usage');
  });

  it('adds cached and reasoning tokens to the words', async () => {
    expect(await usageOf(await chat('[[cached=30 reasoning=12]] one two'))).toEqual({
      prompt_tokens: 32,
      completion_tokens: 28,
      total_tokens: 60,
      prompt_tokens_details: { cached_tokens: 30 },
      completion_tokens_details: { reasoning_tokens: 12 },
    });
  });

  it('writes as many words as chunks says, and max_tokens still holds', async () => {
    const text = await (await chat('[[chunks=100]] x', withUsage)).text();
    expect(text.match(/"content"/g)).toHaveLength(100);
    expect(text).toContain('"completion_tokens":100');
    expect(await usageOf(await chat('[[chunks=100]] x', { max_tokens: 10 }))).toMatchObject({ completion_tokens: 10 });
  });

  it('ends lines with CRLF and leaves [DONE] out', async () => {
    const text = await (await chat('[[crlf no-done]] x', { stream: true })).text();
    expect(text.endsWith('}\r\n\r\n')).toBe(true);
    expect(text.replaceAll('\r\n', '')).not.toContain('\n');
  });

  it('calls tools, streamed in fragments that make the same arguments', async () => {
    const tool = (name: string) => ({
      type: 'function',
      function: { name, parameters: { type: 'object', properties: { city: { type: 'string' } } } },
    });
    const tools = [tool('first'), tool('second')];
    const whole = (await (await chat('[[tool-call=2]] x', { tools })).json()) as {
      choices: Array<{ message: { tool_calls: Array<{ function: { name: string; arguments: string } }> } }>;
    };
    const text = await (await chat('[[tool-call=2]] x', { tools, stream: true })).text();
    const calls: Array<{ name: string; arguments: string }> = [];
    for (const event of text.trim().split('\n\n')) {
      if (event === 'data: [DONE]') continue;
      const [choice] = JSON.parse(event.slice(6)).choices;
      for (const call of choice.delta.tool_calls ?? []) {
        calls[call.index] ??= { name: call.function.name, arguments: '' };
        (calls[call.index] as { arguments: string }).arguments += call.function.arguments;
      }
    }
    expect(calls).toEqual(whole.choices[0]?.message.tool_calls.map((call) => call.function));
    expect(calls.map((call) => call.name)).toEqual(['first', 'second']);
  });

  it('waits before the first byte and between chunks', async () => {
    const started = performance.now();
    const response = await chat('[[delay=60 chunk-delay=10 chunks=5]] x', { stream: true });
    expect(performance.now() - started).toBeGreaterThanOrEqual(55);
    const headersAt = performance.now();
    await response.text();
    expect(performance.now() - headersAt).toBeGreaterThanOrEqual(45);
  });

  it('stops a stream whose reader left, and counts it', async () => {
    const before = sandbox.stats().aborted;
    const abort = new AbortController();
    const response = await fetch(`${sandbox.url}/v1/chat/completions`, {
      method: 'POST',
      signal: abort.signal,
      body: JSON.stringify({
        model: 'sandbox-small',
        stream: true,
        messages: [{ role: 'user', content: '[[chunk-delay=20 chunks=500]] x' }],
      }),
    });
    await response.body?.getReader().read();
    abort.abort();
    await expect.poll(() => sandbox.stats().aborted).toBe(before + 1);
  });
});

describe('parsing', () => {
  it('keeps a text without a script as it is', () => {
    expect(parseScript('  hello [[x]]')).toEqual({ groups: [], rest: '  hello [[x]]', unknown: [] });
  });

  it('merges groups that apply, and keeps the turns of a failure that does not come about', () => {
    const { groups } = parseScript('[[status=500 times=1]] [[status=429 times=1]] [[delay=5 crlf]]');
    const turns = [1, 1, 0];
    const take = (index: number) => {
      const left = turns[index] ?? 0;
      turns[index] = left - 1;
      return left > 0;
    };
    expect(resolveDirectives(groups, null, take)).toMatchObject({ status: 500, delay: 5, crlf: true });
    expect(turns[1]).toBe(1);
    expect(resolveDirectives(groups, null, take).status).toBe(429);
    expect(resolveDirectives(groups, null, take).status).toBeNull();
  });
});
