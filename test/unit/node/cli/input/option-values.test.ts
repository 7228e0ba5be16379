import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLabels, parseSubscribeFrom, wholeNumber } from '../../../../../node/cli/input/option-values.ts'
import { readJsonInput } from '../../../../../node/cli/input/stdin.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

test('a whole number is taken at both ends of its range and not beyond', () => {
  const port = wholeNumber(0, 65_535)
  assert.deepEqual(['0', '65535', '0080'].map(port), [0, 65_535, 80])
  for (const text of ['-1', '65536', '1.5', '1e3', '', ' 1', '0x10', '99999999999']) assert.throws(() => port(text))
})

test('labels are name=value, and a value may hold another =', () => {
  assert.deepEqual(parseLabels(['zone=a', 'note=x=y', 'empty=']), { zone: 'a', note: 'x=y', empty: '' })
  for (const text of ['zone', '=a'])
    assert.throws(
      () => parseLabels([text]),
      (error) => isParleyError(error, 'MSG001'),
    )
})

test('the input of a call is JSON, an empty object unless given', async () => {
  assert.deepEqual(await readJsonInput('[1,"two"]'), [1, 'two'])
  assert.deepEqual(await readJsonInput(undefined), {})
  await assert.rejects(readJsonInput('{text}'), (error) => isParleyError(error, 'MSG001'))
})

const NOW = 1_700_000_000_000

test('a subscription starts at the first, the next, the last so many, or at a time', () => {
  assert.equal(parseSubscribeFrom('earliest', NOW), 'earliest')
  assert.equal(parseSubscribeFrom('latest', NOW), 'latest')
  assert.deepEqual(parseSubscribeFrom('last:1', NOW), { last: 1 })
  assert.deepEqual(parseSubscribeFrom('last:1000000', NOW), { last: 1_000_000 })
  assert.deepEqual(parseSubscribeFrom('since:250ms', NOW), { since: NOW - 250 })
  assert.deepEqual(parseSubscribeFrom('since:10m', NOW), { since: NOW - 600_000 })
  assert.deepEqual(parseSubscribeFrom('since:2d', NOW), { since: NOW - 172_800_000 })
  assert.deepEqual(parseSubscribeFrom('since:999999999d', NOW), { since: 0 })
  assert.deepEqual(parseSubscribeFrom('since:2026-01-31T12:00:00Z', NOW), { since: Date.UTC(2026, 0, 31, 12) })
})

test('what is no place to start from is refused with what would be', () => {
  for (const text of [
    '',
    'first',
    'last:0',
    'last:1000001',
    'last:',
    'since:',
    'since:soon',
    'since:5 m',
    'since:2026-13-01',
  ])
    assert.throws(
      () => parseSubscribeFrom(text, NOW),
      (error) => isParleyError(error, 'MSG001') && /since:10m/.test(error.hint ?? ''),
      text,
    )
})
