/** How one vector is made of a text's token vectors. */
export type Pooling = 'mean' | 'cls' | 'last';

/**
 * Models whose own configuration (`1_Pooling/config.json` in their repository) takes the first token's vector or the
 * last one's. Every other sentence model met takes the mean.
 */
const POOLING_BY_NAME: ReadonlyArray<readonly [RegExp, Pooling]> = [
  [/e5-mistral|gte-qwen|qwen3-embedding|sfr-embedding|nv-embed|linq-embed/i, 'last'],
  [/(^|\/)bge-|mxbai-embed|snowflake-arctic-embed|gte-[a-z]+(-en)?-v1\.5|multilingual-gte|simcse/i, 'cls'],
];

export function poolingOf(model: string): Pooling {
  return POOLING_BY_NAME.find(([name]) => name.test(model))?.[1] ?? 'mean';
}

/**
 * Makes one vector for each input of what feature extraction answers: one vector (`[d]`), one for each input
 * (`[n][d]`), token vectors (`[t][d]`, `[n][t][d]`), or those as a batch of one each (`[n][1][t][d]`). Null when the
 * shape fits no reading, or something in it is no number.
 */
export function toVectors(answer: unknown, inputs: number, pooling: Pooling): number[][] | null {
  if (inputs === 1) {
    const vector = toVector(answer, pooling);
    return vector === null ? null : [vector];
  }
  if (!Array.isArray(answer) || answer.length !== inputs) return null;
  const vectors: number[][] = [];
  for (const item of answer) {
    const vector = toVector(item, pooling);
    if (vector === null) return null;
    vectors.push(vector);
  }
  return vectors;
}

function toVector(value: unknown, pooling: Pooling): number[] | null {
  let inner = value;
  while (Array.isArray(inner) && inner.length === 1 && Array.isArray(inner[0])) inner = inner[0];
  if (isVector(inner)) return inner;
  if (!Array.isArray(inner) || inner.length === 0 || !inner.every(isVector)) return null;
  const tokens: readonly number[][] = inner;
  const [first, last] = [tokens[0] as number[], tokens[tokens.length - 1] as number[]];
  if (tokens.some((token) => token.length !== first.length)) return null;
  if (pooling === 'cls') return first;
  return pooling === 'last' ? last : mean(tokens, first.length);
}

function mean(tokens: readonly number[][], dimensions: number): number[] {
  const sums = new Array<number>(dimensions).fill(0);
  for (const token of tokens) {
    for (let index = 0; index < dimensions; index += 1) (sums[index] as number) += token[index] as number;
  }
  return sums.map((sum) => sum / tokens.length);
}

function isVector(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number');
}
