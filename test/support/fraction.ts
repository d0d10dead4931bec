/** Exact rational numbers, for working out by another way what the code under test says. */
export class Fraction {
  readonly above: bigint;
  readonly below: bigint;

  constructor(above: bigint, below = 1n) {
    if (below <= 0n) throw new RangeError('a fraction needs something below');
    const common = greatestCommonDivisor(above < 0n ? -above : above, below);
    this.above = above / common;
    this.below = below / common;
  }

  /** A plain decimal as a person writes it: `0.0000002`, `3`. */
  static of(text: string): Fraction {
    const [whole = '', places = ''] = text.split('.');
    return new Fraction(BigInt(`${whole}${places}`), 10n ** BigInt(places.length));
  }

  plus(other: Fraction): Fraction {
    return new Fraction(this.above * other.below + other.above * this.below, this.below * other.below);
  }

  times(other: Fraction): Fraction {
    return new Fraction(this.above * other.above, this.below * other.below);
  }

  /** The smallest whole number that is not less; for what is not negative. */
  roundedUp(): bigint {
    const whole = this.above / this.below;
    return whole * this.below === this.above ? whole : whole + 1n;
  }
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [larger, smaller] = [a, b];
  while (smaller !== 0n) [larger, smaller] = [smaller, larger % smaller];
  return larger === 0n ? 1n : larger;
}
