import { isUtf8 } from 'node:buffer';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import type { HeaderFields, ProviderAdapter, UpstreamTarget } from '../../src/domain/provider.js';
import type { Task } from '../../src/domain/task.js';
import type { LiveExchange } from './ask.js';
import type { LiveEntry } from './entry.js';
import { assertClean, keepHeaders, redact } from './redact.js';

/** One exchange with a provider, in the shape of the recordings: `{meta, request, response}`. */
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
  /** `encoding`: absent for text. */
  response: { status: number; statusText: string; headers: HeaderFields; body: string; encoding?: 'base64' };
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
export function toFixture({ case: live, target, request, answer }: LiveExchange, entry: LiveEntry): LiveFixture {
  const { adapter, secrets } = entry;
  const clean = (text: string) => redact(text, secrets);
  const origin = new URL(target.baseUrl).origin;
  const isPublic = adapter.baseUrl !== null && new URL(adapter.baseUrl).origin === origin;
  const publicUrl = (url: string) => clean(isPublic ? url : url.replace(origin, ELSEWHERE));
  const sent = keepHeaders(request.headers, secrets);
  const came = keepHeaders(answer.headers, secrets);
  const lengths: number[] = [];
  const shorten = (text: string) =>
    text.replace(LONG_BASE64, (whole) => {
      lengths.push(whole.length);
      return whole.slice(0, KEPT_BASE64);
    });
  const isText = isUtf8(answer.body);
  if (!isText) assertClean('the answer', answer.body.toString('latin1'), secrets);
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
      headers_dropped: [...sent.dropped, ...came.dropped].sort(),
      truncated_base64_lengths: lengths,
      target: {
        baseUrl: publicUrl(target.baseUrl),
        hasOwnPath: target.hasOwnPath,
        apiVersion: target.apiVersion,
      },
    },
    request: {
      method: request.method,
      url: publicUrl(request.url),
      headers: sent.kept,
      body: request.payload.kind === 'json' ? clean(request.payload.body) : null,
    },
    response: {
      status: answer.status,
      statusText: STATUS_CODES[answer.status] ?? '',
      headers: came.kept,
      body: isText ? clean(shorten(answer.body.toString())) : answer.body.toString('base64'),
      ...(isText ? {} : { encoding: 'base64' as const }),
    },
  };
  assertClean(
    'the fixture',
    textOf(isText ? fixture : { ...fixture, response: { ...fixture.response, body: '' } }),
    secrets,
  );
  return fixture;
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
