import type { Clock } from '../domain/ports.js';
import type { UpstreamCall, UpstreamClient, UpstreamResult } from '../domain/upstream.js';
import { Answer, errorBody, usageIn } from './answer.js';
import { BlockPool } from './block-pool.js';
import { Deadlines } from './deadlines.js';
import { Exchange } from './exchange.js';
import { failureFromStatus } from './failure.js';
import { Origin } from './origin.js';
import type { RequestTexts } from './request-text.js';
import { readStatedLimits } from './retry-after.js';
import { WriteTurns } from './write-turns.js';

/** Where a URL leads. */
interface Way {
  origin: Origin;
  texts: RequestTexts;
}

/** Where URLs lead is remembered for so many of them that are given the same time to connect. */
const MAX_KNOWN_URLS = 1_000;

/** What one read from a connection brings at most. */
const READ_BYTES = 64 * 1024;

/**
 * The only place that calls providers: keep-alive connections per origin, deadlines on every wait, back-pressure from
 * the reader to the provider. Redirects are not followed.
 */
export function createUpstreamClient({ clock }: { clock: Clock }): UpstreamClient {
  const origins = new Map<string, Origin>();
  const closing = new Set<Origin>();
  const ways = new Map<number, Map<string, Way>>();
  const deadlines = new Deadlines();
  const parts = {
    readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
    blocks: new BlockPool(),
    turns: new WriteTurns(),
  };

  function wayTo(url: string, connectMs: number): Way {
    const known = waysWithin(connectMs);
    let way = known.get(url);
    if (way === undefined) {
      const parts = splitUrl(url);
      const origin = originOf(parts.origin, connectMs);
      way = { origin, texts: origin.to(parts.path) };
      if (known.size >= MAX_KNOWN_URLS) known.clear();
      known.set(url, way);
    }
    return way;
  }

  function waysWithin(connectMs: number): Map<string, Way> {
    let known = ways.get(connectMs);
    if (known === undefined) {
      known = new Map();
      ways.set(connectMs, known);
    }
    return known;
  }

  function originOf(url: string, connectMs: number): Origin {
    const name = `${url} ${connectMs}`;
    let origin = origins.get(name);
    if (origin === undefined) {
      origin = new Origin(url, connectMs, parts);
      origins.set(name, origin);
    }
    return origin;
  }

  function send(call: UpstreamCall): Promise<UpstreamResult> {
    const { life, secrets } = call;
    if (life.isEnded) return Promise.reject(life.reason);
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(call, deadlines, () => {
        try {
          if (exchange.status >= 200 && exchange.status < 300) {
            const stated = readStatedLimits(exchange.headers, clock);
            resolve({ ok: true, response: new Answer(exchange, secrets, stated) });
          } else if (exchange.status > 0) refusalOf(exchange, call).then(resolve, reject);
          else if (life.isEnded) reject(life.reason);
          else resolve(noAnswer(exchange));
        } catch (error) {
          // It is told within a read from a socket, where a fault would end the process and not only this call.
          exchange.fail(error);
          resolve(noAnswer(exchange));
        }
      });
      try {
        const { origin, texts } = wayTo(call.route.url, call.connectMs);
        origin.dispatch(texts, call, exchange);
      } catch (error) {
        // An address that an adapter made, or a provider gave, and that is none.
        exchange.fail(error);
      }
    });
  }

  /** An answer that says no. */
  async function refusalOf(exchange: Exchange, call: UpstreamCall): Promise<UpstreamResult> {
    const { status, headers } = exchange;
    const stated = readStatedLimits(headers, clock);
    const body = await errorBody(exchange, call);
    const failure = failureFromStatus({ status, headers, body, secrets: call.secrets, now: clock.now() });
    return { ok: false, failure, report: usageIn(body), stated };
  }

  return {
    send,
    closeUnused(isUsed) {
      ways.clear();
      for (const [name, origin] of origins) {
        const [url = '', connectMs] = name.split(' ');
        if (isUsed(url, Number(connectMs))) continue;
        origins.delete(name);
        closing.add(origin);
        // Rejected when a stop destroys it meanwhile: it is closed either way.
        void origin.close().then(
          () => closing.delete(origin),
          () => closing.delete(origin),
        );
      }
    },
    async close() {
      const all = [...origins.values(), ...closing];
      origins.clear();
      ways.clear();
      await Promise.all(all.map((origin) => origin.destroy()));
    },
  };
}

function noAnswer({ failure }: Exchange): UpstreamResult {
  return { ok: false, failure, report: null, stated: [] };
}

function splitUrl(url: string): { origin: string; path: string } {
  const start = url.indexOf('://') + 3;
  const end = url.slice(start).search(/[/?#]/);
  if (end === -1) return { origin: url, path: '/' };
  const path = url.slice(start + end);
  return { origin: url.slice(0, start + end), path: path.startsWith('/') ? path : `/${path}` };
}
