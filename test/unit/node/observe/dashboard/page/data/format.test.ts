import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ago,
  bytes,
  clock,
  count,
  dateTime,
  nameOr,
  plural,
  shortId,
  skew,
  span,
  when,
} from '../../../../../../../node/observe/dashboard/page/data/format.ts'

describe('figures as people read them', () => {
  it('have three digits at most', () => {
    const rows: [number, string][] = [
      [0, '0'],
      [0.4211, '0.42'],
      [3.1, '3.1'],
      [57.04, '57'],
      [999, '999'],
      [9_999, '9999'],
      [10_000, '10k'],
      [12_345, '12.3k'],
      [999_499, '999k'],
      [999_500, '1M'],
      [34_000_000, '34M'],
      [-5.5, '-5.5'],
    ]
    for (const [value, text] of rows) assert.equal(count(value), text)
  })

  it('are bytes in powers of two', () => {
    assert.deepEqual([0, 1_023, 1_024, 1_536, 5 * 1024 ** 3].map(bytes), ['0 B', '1023 B', '1 KiB', '1.5 KiB', '5 GiB'])
  })

  it('are times in the unit that says them best', () => {
    const rows: [number, string][] = [
      [0.42, '0.42 ms'],
      [999, '999 ms'],
      [1_000, '1 s'],
      [9_940, '9.9 s'],
      [9_950, '10 s'],
      [89_000, '89 s'],
      [90_000, '2 min'],
      [5_400_000, '1.5 h'],
      [129_600_000, '1.5 d'],
    ]
    for (const [ms, text] of rows) assert.equal(span(ms), text)
    assert.deepEqual([ago(5_000, 5_900), ago(5_000, 8_000), ago(9_000, 8_000)], ['now', '3 s ago', 'now'])
  })

  it('are clocks beside the own one, as far as that can be told', () => {
    assert.deepEqual([skew(12, 5), skew(-2_000, 5), skew(4, 5), skew(0)], ['+12 ms', '−2 s', '±5 ms', '±0 ms'])
  })

  it('are times of day where they are of today, else with their day', () => {
    const noon = new Date(2026, 10, 23, 12).getTime()
    assert.equal(when(noon - 3_600_000, noon), clock(noon - 3_600_000))
    assert.equal(when(noon - 86_400_000, noon), dateTime(noon - 86_400_000))
  })

  it('name peers by their name, else by the end of their id', () => {
    assert.equal(shortId('12D3KooWEyaSTGC7Auuq'), '…TGC7Auuq')
    assert.deepEqual([nameOr('', '12D3KooWEyaSTGC7Auuq'), nameOr('atlas', 'x')], ['…TGC7Auuq', 'atlas'])
    assert.deepEqual([plural(1, 'node'), plural(2, 'node')], ['1 node', '2 nodes'])
  })
})
