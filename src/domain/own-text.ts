/**
 * The same text of latin1, as headers are, keeping nothing but itself: one that was cut out of another keeps all of that,
 * which may be the whole head of a request with the keys in it.
 */
export function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
