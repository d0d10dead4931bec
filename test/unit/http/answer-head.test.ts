import { describe, expect, it } from 'vitest';
import { AnswerHeads } from '../../../src/http/short/answer-head.js';

describe('the heads of answers', () => {
  const heads = new AnswerHeads(75_000);
  const linesOf = (...headers: string[]) => {
    const text = heads.text({ status: 200, headers, preset: [], isChunked: false, closes: false });
    return text.split('\r\n').slice(1, 1 + headers.length / 2);
  };

  it('say what each says, whatever the one before said', () => {
    expect(linesOf('a', '1', 'b', '2')).toEqual(['a: 1', 'b: 2']);
    expect(linesOf('a', '1', 'b', '3')).toEqual(['a: 1', 'b: 3']);
    expect(linesOf('a', '1')).toEqual(['a: 1']);
    expect(linesOf('b', '3', 'a', '1', 'c', '4')).toEqual(['b: 3', 'a: 1', 'c: 4']);
  });

  it('have nothing of one that could not be', () => {
    expect(linesOf('a', '1', 'b', '2')).toEqual(['a: 1', 'b: 2']);
    expect(() => linesOf('a', 'another', 'b', '2\n')).toThrow(/b has a character that no header can hold/);
    expect(linesOf('a', '1', 'b', '2')).toEqual(['a: 1', 'b: 2']);
  });
});
