import { crc32, deflateSync } from 'node:zlib';
import { seededNumbers } from './writing.js';

const RATE = 8_000;
const WAV_HEAD_BYTES = 44;

/** Eight-bit mono at 8 kHz: a quiet tone that depends on the seed, `ms` long. */
export function writeWav(seed: number, ms: number): Buffer {
  const samples = Math.round((RATE * ms) / 1_000);
  const wav = Buffer.alloc(WAV_HEAD_BYTES + samples);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(WAV_HEAD_BYTES - 8 + samples, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(RATE, 24);
  wav.writeUInt32LE(RATE, 28);
  wav.writeUInt16LE(1, 32);
  wav.writeUInt16LE(8, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(samples, 40);
  const period = 20 + (seed % 40);
  for (let at = 0; at < samples; at += 1) wav[WAV_HEAD_BYTES + at] = at % period < period / 2 ? 120 : 136;
  return wav;
}

/** How long a recording is: of a WAV what it says, of anything else a second for every 16,000 bytes. */
export function lengthMs(file: Buffer): number {
  const isWav = file.length >= WAV_HEAD_BYTES && file.toString('latin1', 0, 4) === 'RIFF';
  const bytesPerSecond = isWav ? file.readUInt32LE(28) : 16_000;
  const bytes = isWav ? file.length - WAV_HEAD_BYTES : file.length;
  return Math.round((bytes * 1_000) / Math.max(1, bytesPerSecond));
}

/** A square of 8 by 8 pixels, each of its own colour. */
export function writePng(seed: number): Buffer {
  const next = seededNumbers(seed);
  const side = 8;
  const rows = Buffer.alloc(side * (1 + side * 3));
  for (let at = 0; at < rows.length; at += 1) rows[at] = at % (1 + side * 3) === 0 ? 0 : Math.floor(next() * 256);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  // Eight bits a channel, three channels.
  head.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
