import { isUtf8 } from 'node:buffer';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import type { HeaderFields, ProviderAdapter, UpstreamTarget } from '../../src/domain/provider.js';
import type { Task } from '../../src/domain/task.js';
import type { LiveExchange, LiveStep } from './ask.js';
import type { LiveEntry } from './entry.js';
import type { RawAnswer } from './read.js';
import { assertClean, keepHeaders, redact } from './redact.js';

/**
 * One exchange with a provider, in the shape of the recordings: `{meta, request, response}`. Of a prediction that was
 * followed `steps` has what was asked after that, in order.
 */
export interface LiveFixture {
  meta: {
    id: string;
    section: 'live';
    /** The case's name; with the task and the model it says what was asked. */
    kind: string;
    task: Task;
    /** The adapter's id. */
    provider: string;
    model: string;
    /** Day of the exchange, UTC. */
    recorded: string;
    headers_dropped: string[];
    truncated_base64_lengths: number[];
    target: Pick<UpstreamTarget, 'baseUrl' | 'hasOwnPath' | 'apiVersion'>;
  };
  /** `body`: null where it is no text. */
  request: { method: string; url: string; headers: HeaderFields; body: string | null };
  response: LiveResponse;
  /** Absent where nothing was left to ask. */
  steps?: Array<{ request: { method: string; url: string; headers: HeaderFields }; response: LiveResponse }>;
}

/** `encoding`: absent for text. */
interface LiveResponse {
  status: number;
  statusText: string;
  headers: HeaderFields;
  body: string;
  encoding?: 'base64';
}

/** Where exchanges with real providers are kept, and replayed from. */
export const LIVE_FIXTURES = join(import.meta.dirname, '../conformance/fixtures/live');

/** Stands for an address that is not the provider's public one: it may be somebody's own. */
const ELSEWHERE = 'https://provider.invalid';
const LONG_BASE64 = /[A-Za-z0-9+/]{4000,}={0,2}/g;
/** A multiple of four: what is left is still base64. */
const KEPT_BASE64 = 64;

/**
 * An exchange without its secrets.
 * @throws Error when something is left that looks like one
 */
export function toFixture({ case: live, target, request, answer, steps }: LiveExchange, entry: LiveEntry): LiveFixture {
  const { adapter, secrets } = entry;
  const origin = new URL(target.baseUrl).origin;
  const isPublic = adapter.baseUrl !== null && new URL(adapter.baseUrl).origin === origin;
  const replaced = [...keylessAddresses(steps), ...(isPublic ? [] : inJson(origin, ELSEWHERE))];
  // An answer may say where to ask next: what is replaced in an address is replaced there too.
  const clean = (text: string) =>
    redact(
      replaced.reduce((whole, [from, to]) => whole.replaceAll(from, to), text),
      secrets,
    );
  const dropped = new Set<string>();
  const lengths: number[] = [];
  const keep = (headers: HeaderFields): HeaderFields => {
    const { kept, dropped: names } = keepHeaders(headers, secrets);
    for (const name of names) dropped.add(name);
    return kept;
  };
  const shorten = (text: string) =>
    text.replace(LONG_BASE64, (whole) => {
      lengths.push(whole.length);
      return whole.slice(0, KEPT_BASE64);
    });
  const responseOf = ({ status, headers, body }: RawAnswer): LiveResponse => {
    const isText = isUtf8(body);
    if (!isText) assertClean('the answer', body.toString('latin1'), secrets);
    return {
      status,
      statusText: STATUS_CODES[status] ?? '',
      headers: keep(headers),
      body: isText ? clean(shorten(body.toString())) : body.toString('base64'),
      ...(isText ? {} : { encoding: 'base64' as const }),
    };
  };
  const sent = { method: request.method, url: clean(request.url), headers: keep(request.headers) };
  const response = responseOf(answer);
  const followed = steps.map((step) => {
    const { method, url, headers } = step.request;
    return { request: { method, url: clean(url), headers: keep(headers) }, response: responseOf(step.answer) };
  });
  const model = clean(target.providerModel);
  const fixture: LiveFixture = {
    meta: {
      id: `${adapter.id} ${live.name} ${model}`,
      section: 'live',
      kind: live.name,
      task: live.task,
      provider: adapter.id,
      model,
      recorded: new Date().toISOString().slice(0, 10),
      headers_dropped: [...dropped].sort(),
      truncated_base64_lengths: lengths,
      target: {
        baseUrl: clean(target.baseUrl),
        hasOwnPath: target.hasOwnPath,
        apiVersion: target.apiVersion,
      },
    },
    request: { ...sent, body: request.payload.kind === 'json' ? clean(request.payload.body) : null },
    response,
    ...(followed.length === 0 ? {} : { steps: followed }),
  };
  const bare = (one: LiveResponse) => (one.encoding === undefined ? one : { ...one, body: '' });
  const texts = {
    ...fixture,
    response: bare(response),
    steps: followed.map((step) => ({ ...step, response: bare(step.response) })),
  };
  assertClean('the fixture', textOf(texts), secrets);
  return fixture;
}

/** An address that gives access by itself is a secret but for its host, which the adapter looks at. */
function keylessAddresses(steps: readonly LiveStep[]): Array<[from: string, to: string]> {
  const urls = new Set(steps.filter(({ isKeyless }) => isKeyless).map(({ request }) => request.url));
  return [...urls].flatMap((url, at) => inJson(url, `${new URL(url).origin}/redacted-${at + 1}`));
}

/** A text, and as a JSON string may have it. */
function inJson(from: string, to: string): Array<[from: string, to: string]> {
  const forms = [from, from.replaceAll('/', '\\/'), from.replaceAll('&', '\\u0026')];
  return [...new Set(forms)].map((form) => [form, to]);
}

export function writeFixture(folder: string, fixture: LiveFixture): string {
  mkdirSync(folder, { recursive: true });
  const name = `${fixture.meta.provider}-${fixture.meta.kind.replaceAll(' ', '-')}.json`;
  const path = join(folder, name);
  writeFileSync(path, textOf(fixture));
  return path;
}

/** Every fixture of a folder, by file name; none where there is no folder. */
export function readFixtures(folder: string): Array<[name: string, fixture: LiveFixture]> {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return [];
    throw error;
  }
  return names.sort().map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as LiveFixture]);
}

export function rawAnswerOf({ status, headers, body, encoding }: LiveResponse): RawAnswer {
  return { status, headers, body: Buffer.from(body, encoding ?? 'utf8') };
}

/** The target a fixture was recorded at. */
export function targetOf({ meta }: LiveFixture, adapter: ProviderAdapter): UpstreamTarget {
  return {
    providerId: adapter.id,
    providerModel: meta.model,
    headers: {},
    extraBody: {},
    dropParams: [],
    maxOutputTokens: null,
    ...meta.target,
  };
}

function textOf(fixture: LiveFixture): string {
  return `${JSON.stringify(fixture, null, 1)}\n`;
}
