import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { WaybillError } from '../domain/errors.js';
import type { FormStep } from '../domain/task.js';
import { brokenOff, checkAnnounced, tooLarge } from './body.js';

const LIMITS = { fields: 100, fieldSize: 1024 * 1024, files: 10, parts: 110, headerPairs: 32 } as const;

/** One part as it comes: busboy tells of the next before it has given the bytes of the last. */
interface Part {
  steps: FormStep[];
  isOver: boolean;
}

/**
 * The parts of a `multipart/form-data` body in their order, as they come; reading slowly slows the client.
 * @throws WaybillError body_too_large, invalid_request
 */
export function readForm(req: IncomingMessage, limitBytes: number): AsyncGenerator<FormStep> {
  checkAnnounced(req, limitBytes);
  const parts: Part[] = [];
  let failure: unknown = null;
  const parser = openParser(req);
  const fail = (error: unknown) => {
    failure ??= error;
  };
  parser.on('field', (name: string, value: string, _nameCut: boolean, isCut: boolean) => {
    if (isCut) fail(malformed(`the field \`${name}\` is longer than ${LIMITS.fieldSize} bytes`));
    parts.push({ steps: [{ kind: 'field', name, value }], isOver: true });
  });
  parser.on(
    'file',
    (name: string, stream: BusboyFileStream, given: string | undefined, _encoding: string, contentType: string) => {
      // As browsers name a file that has no name.
      const filename = given ?? 'blob';
      const part: Part = { steps: [{ kind: 'file', name, filename, contentType }], isOver: false };
      parts.push(part);
      stream.on('data', (bytes: Buffer) => part.steps.push({ kind: 'bytes', bytes }));
      stream.on('end', () => {
        part.isOver = true;
      });
      stream.on('error', fail);
    },
  );
  for (const what of ['parts', 'fields', 'files'] as const) {
    parser.on(`${what}Limit`, () => fail(malformed(`the form has more than ${LIMITS[what]} ${what}`)));
  }
  parser.on('error', (error: unknown) => fail(malformed(error instanceof Error ? error.message : String(error))));
  return steps(req, limitBytes, { parser, parts, failed: () => failure });
}

async function* steps(
  req: IncomingMessage,
  limitBytes: number,
  form: { parser: BusboyInstance; parts: Part[]; failed: () => unknown },
): AsyncGenerator<FormStep> {
  const { parser, parts, failed } = form;
  let size = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) throw tooLarge(limitBytes);
      await new Promise<void>((resolve) => {
        const onError = () => resolve();
        parser.once('error', onError);
        parser.write(chunk, () => {
          parser.off('error', onError);
          resolve();
        });
      });
      if (failed() !== null) throw failed();
      yield* ready(parts);
    }
    await new Promise<void>((resolve) => {
      parser.once('finish', resolve).once('error', resolve);
      parser.end();
    });
    // The last bytes of a file are told a turn later.
    await new Promise(setImmediate);
    if (failed() !== null) throw failed();
    yield* ready(parts);
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw brokenOff(error);
  } finally {
    // What is not read any more is let run dry, so that the client gets to read its answer.
    req.resume();
  }
}

function* ready(parts: Part[]): Generator<FormStep> {
  for (let part = parts[0]; part !== undefined; part = parts[0]) {
    yield* part.steps.splice(0);
    if (!part.isOver) return;
    parts.shift();
  }
}

function openParser(req: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({ headers: req.headers as BusboyHeaders, limits: LIMITS });
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error));
  }
}

function malformed(why: string): WaybillError {
  return new WaybillError('invalid_request', { message: `The request's form cannot be read: ${why}.`, param: 'body' });
}
