import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSubscribeFrom } from '../../../../../node/cli/input/subscribe-from.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

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
