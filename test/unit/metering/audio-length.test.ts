import { expect, it } from 'vitest';
import { audioLength } from '../../../src/metering/audio-length.js';
import { writePng, writeWav } from '../../../src/providers/sandbox/files.js';

/** A frame of MPEG-1 layer III at 128 kbit/s and 44.1 kHz: 1,152 samples in 417 bytes. */
function mp3(frames: number): Buffer {
  const frame = Buffer.alloc(417);
  frame.set([0xff, 0xfb, 0x90, 0x00]);
  return Buffer.concat(Array.from({ length: frames }, () => frame));
}

it.each([
  ['a WAV', writeWav(1, 2_500), 'audio/wav', 2_500],
  ['an MP3', mp3(100), 'audio/mpeg', Math.ceil((100 * 1_152 * 1_000) / 44_100)],
  ['a WAV that is called something else', writeWav(1, 1_000), 'application/octet-stream', 1_000],
  ['a picture', writePng(1), 'image/png', null],
  ['bytes', Buffer.alloc(5_000), 'audio/wav', null],
  ['nothing', Buffer.alloc(0), 'audio/wav', null],
])('reads the length of %s', async (_what, audio, type, expected) => {
  expect(await audioLength(audio, type)).toBe(expected);
});
