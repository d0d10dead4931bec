/** Inputs that are hard for a tokenizer, each of about `size` UTF-16 units. */
export const ADVERSARIAL_TEXTS: Readonly<Record<string, (size: number) => string[]>> = {
  english: (size) => [repeated('The quick brown fox, aged 12, jumps over the lazy dog; nobody knows why.\n', size)],
  'one letter': (size) => ['a'.repeat(size)],
  blanks: (size) => [' '.repeat(size)],
  newlines: (size) => ['\n'.repeat(size)],
  'newlines and slashes': (size) => [repeated('/\n', size)],
  'exclamation marks': (size) => ['!'.repeat(size)],
  'random letters': (size) => [random(size, () => 97 + next(26))],
  'random unicode': (size) => [random(size, () => next(65_536))],
  'random ideographs': (size) => [random(size, () => 0x4e00 + next(20_000))],
  'random emoji': (size) => [random(size / 2, () => 0x1f300 + next(600))],
  'combining marks': (size) => ['e\u0301\u0302\u0303'.repeat(size / 4)],
  'mixed alphabets': (size) => [random(size, () => (next(2) === 0 ? 97 + next(26) : 0x430 + next(32)))],
  base64: (size) => [
    Buffer.from(random(size, () => next(65_536)))
      .toString('base64')
      .slice(0, size),
  ],
  digits: (size) => [random(size, () => 48 + next(10))],
  'words apart by spaces': (size) => [random(size, (nth) => (nth % 2 === 0 ? 0x4e00 + next(20_000) : 32))],
  'zero width joiners': (size) => ['\u200d'.repeat(size)],
  'many tiny texts': (size) => Array.from({ length: size / 2 }, () => 'ab'),
};

let seed = 1;

function next(below: number): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

function random(size: number, codePoint: (nth: number) => number): string {
  const pieces: string[] = [];
  for (let nth = 0; nth < size; nth += 1) pieces.push(String.fromCodePoint(codePoint(nth)));
  return pieces.join('');
}

function repeated(sentence: string, size: number): string {
  return sentence.repeat(Math.ceil(size / sentence.length)).slice(0, size);
}
