import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { skipOf, toldOf, unexcused } from '../skips.ts'

const event = (skip: unknown, type = 'test:pass') => ({
  type,
  data: { name: 'is right in fish', file: 'a.test.ts', skip },
})

test('a skipped test is told with its reason, and is a failure where its part can be installed', () => {
  const skip = skipOf(event('fish is not installed'))
  assert.deepEqual(skip, { file: 'a.test.ts', name: 'is right in fish', reason: 'fish is not installed' })
  assert.ok(skip !== undefined)
  assert.deepEqual(unexcused([skip]), [skip])
  assert.match(toldOf([skip]), /^Skipped, .+:\n {2}a\.test\.ts: is right in fish \(fish is not installed\)$/)
})

test('a skip without a reason has no excuse', () => {
  const skip = skipOf(event(true))
  assert.ok(skip !== undefined)
  assert.equal(unexcused([skip]).length, 1)
})

test('what the machine itself does not have is excused, and nothing is told then', () => {
  const reasons = ['the file system tells no creation times', 'this machine has no IPv6 loopback (::1)']
  const skips = reasons.flatMap((reason) => skipOf(event(reason)) ?? [])
  assert.equal(skips.length, 2)
  assert.equal(toldOf(unexcused(skips)), '')
})

test('tests that ran, and other events, are no skips', () => {
  assert.equal(skipOf(event(undefined)), undefined)
  assert.equal(skipOf(event(false)), undefined)
  assert.equal(skipOf(event('needs root', 'test:start')), undefined)
})

test('the run before anything lands asks for it, and takes a smoke test without an engine for a failure', async () => {
  const text = await readFile(new URL('../../.ci/run', import.meta.url), 'utf8')
  assert.match(text, /^npm ci --no-progress && TEST_SKIPS=fail (?:[A-Z_]+=\w+ )*npm test$/m)
  assert.match(text, /"\$smoke_code" -eq 77 \] && engine_can_run/)
})
