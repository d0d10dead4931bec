/**
 * Where a text may be cut before it is tokenised. Tokenizers split a text into words first and then merge within each
 * word, in time that grows with the square of its length: one word of a million letters would take minutes. So words
 * that are too long are cut.
 */

/** The longest word handed to the tokenizer, in UTF-8 bytes. */
export const MAX_WORD_BYTES = 256;

const WIDE = 0;
const LETTER = 1;
const DIGIT = 2;
const PUNCTUATION = 3;
const SPACE = 4;
const NEWLINE = 5;

const CLASSES = classesOfAscii();

/** The text in parts whose words are bounded. A text without long words comes back whole, and is counted exactly. */
export function cutLongWords(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let wordBytes = 0;
  /** The last place in this word where a cut changes little: before a space or a full stop; -1 when there is none. */
  let goodCut = -1;
  let bytesAtGoodCut = 0;
  let before = SPACE;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const now = code < 128 ? (CLASSES[code] as number) : WIDE;
    if (isWordBoundary(before, now)) {
      wordBytes = 0;
      goodCut = -1;
    } else if (isGoodCut(code, before)) {
      goodCut = at;
      bytesAtGoodCut = wordBytes;
    }
    if (wordBytes >= MAX_WORD_BYTES) {
      const cut = goodCut > start ? goodCut : wholeCharacter(text, at);
      parts.push(text.slice(start, cut));
      start = cut;
      wordBytes = goodCut === cut ? wordBytes - bytesAtGoodCut : 0;
      goodCut = -1;
    }
    wordBytes += bytesOf(code);
    before = now;
  }
  parts.push(start === 0 ? text : text.slice(start));
  return parts;
}

/** True where the tokenizers' own patterns are sure to end a word. Other alphabets' letters may join with anything. */
function isWordBoundary(before: number, now: number): boolean {
  if (before === DIGIT || now === DIGIT) return true;
  if (before === WIDE || now === WIDE) return false;
  if (before === LETTER || now === LETTER) return before !== now;
  // Punctuation takes the newlines after it, and slashes after those; blanks and newlines go together.
  return (before === SPACE && now === PUNCTUATION) || (before === PUNCTUATION && now === SPACE);
}

function isGoodCut(code: number, before: number): boolean {
  if (code === 0x20) return before !== SPACE;
  // Ideographic comma and full stop, and their full-width kin.
  return code === 0x3001 || code === 0x3002 || code === 0xff0c || code === 0xff01 || code === 0xff1f;
}

function wholeCharacter(text: string, at: number): number {
  const isLowHalf = (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  return isLowHalf && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800 ? at - 1 : at;
}

function bytesOf(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return (code & 0xf800) === 0xd800 ? 2 : 3;
}

function classesOfAscii(): Uint8Array {
  const classes = new Uint8Array(128).fill(PUNCTUATION);
  for (let code = 0; code < 128; code += 1) {
    const character = String.fromCharCode(code);
    if (/[A-Za-z]/.test(character)) classes[code] = LETTER;
    else if (/[0-9]/.test(character)) classes[code] = DIGIT;
    else if (/[\r\n]/.test(character)) classes[code] = NEWLINE;
    else if (/[ \t\v\f]/.test(character)) classes[code] = SPACE;
  }
  return classes;
}
