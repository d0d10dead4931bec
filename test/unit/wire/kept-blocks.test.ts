import fc from 'fast-check';
import { expect, it } from 'vitest';
import { KeptBlocks } from '../../../src/wire/kept-blocks.js';

it('gives every block back, in order, in pieces that end where a block ends', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(300), fc.nat(40_000)), { maxLength: 200 }), (lengths) => {
      const kept = new KeptBlocks();
      const blocks = lengths.map((length, index) => Buffer.alloc(length, 97 + (index % 26)));
      const ends = new Set([0]);
      let end = 0;
      for (const block of blocks) {
        kept.add(block);
        end += block.length;
        ends.add(end);
        // What came is the socket's, and is written over.
        block.fill(0);
      }
      const pieces = kept.pieces();
      const expected = lengths.map((length, index) => Buffer.alloc(length, 97 + (index % 26)));
      expect(Buffer.concat(pieces).equals(Buffer.concat(expected))).toBe(true);
      let at = 0;
      for (const piece of pieces) {
        at += piece.length;
        expect(ends.has(at)).toBe(true);
      }
    }),
  );
});

it('has nothing of a stream without blocks', () => {
  expect(new KeptBlocks().pieces()).toEqual([]);
});
