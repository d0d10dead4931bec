import { describe, expect, it } from 'vitest';
import { type CostQueryInput, parseCostQuery, QueryError } from '../../../src/domain/report.js';

const NOW = Date.parse('2026-11-20T12:00:00Z');

function parse(input: Partial<CostQueryInput>) {
  return parseCostQuery({ groupBy: [], filters: {}, ...input }, NOW);
}

function fault(input: Partial<CostQueryInput>): { param: string; message: string } {
  try {
    parse(input);
  } catch (error) {
    expect(error).toBeInstanceOf(QueryError);
    return error as QueryError;
  }
  throw new Error('nothing was thrown');
}

describe('parseCostQuery', () => {
  it('covers everything in UTC where nothing is said', () => {
    expect(parse({})).toEqual({ from: null, to: null, groupBy: [], filters: {}, timeZone: 'UTC' });
  });

  it.each([
    ['2026-11-20', 'UTC', '2026-11-20T00:00:00Z'],
    ['2026-11-20', 'America/New_York', '2026-11-20T05:00:00Z'],
    ['2026-07-01', 'America/New_York', '2026-07-01T04:00:00Z'],
    ['2026-11-20T18:30', 'Asia/Kathmandu', '2026-11-20T12:45:00Z'],
    ['2026-11-20T18:30:15.250Z', 'America/New_York', '2026-11-20T18:30:15.250Z'],
    ['2026-11-20 18:30:00+02:00', 'UTC', '2026-11-20T16:30:00Z'],
    ['1763640000', 'UTC', '2025-11-20T12:00:00Z'],
    ['1763640000000', 'UTC', '2025-11-20T12:00:00Z'],
  ])('reads %s in %s as %s', (text, tz, expected) => {
    expect(parse({ from: text, tz }).from).toBe(Date.parse(expected));
  });

  it.each([
    'yesterday',
    '2026-13-01',
    '2026-02-30',
    '2026-11-20T25:00',
    '20.11.2026',
    '2026-11-20T18:30:00+25:00',
    '-5',
  ])('refuses %s as a date, naming the parameter', (text) => {
    expect(fault({ from: text }).param).toBe('from');
    expect(fault({ to: text }).param).toBe('to');
  });

  it('counts back from now', () => {
    expect(parse({ since: '7d' }).from).toBe(NOW - 7 * 86_400_000);
    expect(parse({ since: '90m' }).from).toBe(NOW - 90 * 60_000);
    for (const since of ['7', 'week', '0d', '-1d', '1.5d']) expect(fault({ since }).param).toBe('since');
    expect(fault({ since: '7d', from: '2026-01-01' }).message).toMatch(/not both/);
  });

  it('refuses a range that is reversed or empty', () => {
    expect(fault({ from: '2026-11-20', to: '2026-11-19' })).toMatchObject({ param: 'from' });
    expect(fault({ from: '2026-11-20', to: '2026-11-20' }).message).toMatch(/"to" is not included/);
  });

  it('takes group names apart at commas, each once', () => {
    expect(parse({ groupBy: ['client, day', 'tag:team', 'client'] }).groupBy).toEqual(['client', 'day', 'tag:team']);
  });

  it('refuses what it does not know, and says what it knows', () => {
    expect(fault({ groupBy: ['colour'] })).toMatchObject({ param: 'group_by' });
    expect(fault({ groupBy: ['colour'] }).message).toMatch(/"colour".*client.*tag:NAME/);
    expect(fault({ groupBy: ['tag:'] }).param).toBe('group_by');
    expect(fault({ filters: { constructor: ['x'] } }).param).toBe('filter');
    expect(fault({ tz: 'Mars/Olympus' }).message).toMatch(/Mars\/Olympus.*IANA/);
  });
});
