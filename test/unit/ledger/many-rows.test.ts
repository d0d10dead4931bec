import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManyRows } from '../../../src/ledger/sqlite/many-rows.js';

let db: Database.Database;

beforeEach(() => {
  db = new Database(':memory:');
  db.exec('CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, kind TEXT, size INTEGER, note TEXT) STRICT');
});

afterEach(() => {
  db.close();
});

const OPTIONS = {
  table: 'things',
  own: ['id', 'name', 'note'],
  shared: ['kind', 'size'],
  onConflict: '(name) DO NOTHING',
};

/** In the order of the table's columns. */
function rowsThere(): unknown[] {
  return db.prepare('SELECT id, name, note, kind, size FROM things ORDER BY id').raw().all();
}

describe('many rows', () => {
  it('are there as they were added, however many come, and however few have something in common', () => {
    const cell = fc.oneof(fc.string(), fc.constant(null), fc.constantFrom("it's", '@kind', '?', '💶'));
    const row = fc.tuple(cell, fc.constantFrom('a', 'b', 'c', null), fc.integer({ min: 0, max: 9 }));
    const property = fc.property(fc.array(row, { maxLength: 300, size: 'max' }), (rows) => {
      db.exec('DELETE FROM things');
      const many = new ManyRows(db, OPTIONS);
      const expected = rows.map(([note, kind, size], at) => [at + 1, `thing ${at}`, note, kind, size]);
      for (const [id, name, note, kind, size] of expected) many.add([id, name, note] as never, [kind, size] as never);
      expect(many.flush()).toBe(0);
      expect(rowsThere()).toEqual(expected);
    });
    fc.assert(property, { numRuns: 60 });
  });

  it('are left out, and counted, where their unique value is there already', () => {
    db.exec("INSERT INTO things VALUES (900, 'thing 3', 'old', 0, NULL), (901, 'thing 77', 'old', 0, NULL)");
    const many = new ManyRows(db, OPTIONS);
    for (let id = 1; id <= 100; id += 1) many.add([id, `thing ${id}`, null], ['new', id % 2]);
    expect(many.flush()).toBe(2);
    expect(rowsThere()).toHaveLength(100);
    expect(db.prepare("SELECT count(*) FROM things WHERE kind = 'new'").pluck().get()).toBe(98);
    expect(many.flush(), 'counted once').toBe(0);
  });

  it('say what SQLite says of a row that cannot be, and nothing of it comes later', () => {
    const many = new ManyRows(db, OPTIONS);
    many.add([1, 'one', null], ['a', 'no number']);
    many.add([2, 'two', null], ['a', 2]);
    expect(() => many.flush()).toThrow(/cannot store TEXT value in INTEGER column/);
    many.drop();
    many.add([3, 'three', null], ['a', 3]);
    expect(many.flush()).toBe(0);
    expect(rowsThere()).toEqual([[3, 'three', null, 'a', 3]]);
  });

  it('are errors where they are there already and nothing says what becomes of them', () => {
    const { onConflict: _, ...options } = OPTIONS;
    const many = new ManyRows(db, options);
    many.add([1, 'one', null], ['a', 1]);
    many.add([2, 'one', null], ['a', 1]);
    expect(() => many.flush()).toThrow(/UNIQUE constraint failed: things.name/);
  });

  it('refuse a list, whose members would be bound as cells', () => {
    const many = new ManyRows(db, OPTIONS);
    expect(() => many.add([1, ['one'], null] as never, ['a', 1])).toThrow(TypeError);
    expect(() => many.add([1, 'one', null], [['a'], 1] as never)).toThrow(TypeError);
    expect(many.flush()).toBe(0);
    expect(rowsThere()).toEqual([]);
  });
});
