/** How checks are run: what they find, how long they may take, what becomes of an error. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DoctorCheck, ok, runCheck } from '../../../../../node/cli/doctor/check-finding.ts'
import type { DoctorSubject } from '../../../../../node/cli/doctor/doctor-subject.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'

// None of these looks at it.
const subject = {} as DoctorSubject
const check = (run: DoctorCheck['run']): DoctorCheck => ({ name: 'it', run })

test('a check that finds several things tells all of them, with its time', async () => {
  const found = await runCheck(
    check(() => [ok('a', 'one'), ok('b', 'two')]),
    subject,
    1_000,
  )
  assert.deepEqual(
    found.map(({ name, verdict, seen }) => [name, verdict, seen]),
    [
      ['a', 'ok', 'one'],
      ['b', 'ok', 'two'],
    ],
  )
  assert.ok(found.every(({ tookMs }) => Number.isInteger(tookMs) && tookMs >= 0))
})

test('a check that hangs is given up, and told so by its signal', async () => {
  const seen: AbortSignal[] = []
  const hangs = check((_, signal) => {
    seen.push(signal)
    return new Promise(() => {})
  })
  const [found, ...more] = await runCheck(hangs, subject, 20)
  assert.deepEqual([found?.name, found?.verdict, found?.seen], ['it', 'warn', 'nothing was found within 0.02 s'])
  assert.equal(more.length, 0)
  assert.equal(seen[0]?.aborted, true)
})

test('an error is a finding, with the hint that it has', async () => {
  const failing = check(async () => {
    throw new ParleyError('STA003', 'no room', { hint: 'make some' })
  })
  const [found] = await runCheck(failing, subject, 1_000)
  assert.deepEqual([found?.verdict, found?.seen, found?.todo], ['fail', 'no room', 'make some'])
  const crashing = check(() => {
    throw new TypeError('oh')
  })
  const [other] = await runCheck(crashing, subject, 1_000)
  assert.deepEqual([other?.verdict, other?.seen], ['fail', 'oh'])
})

test('what was seen is 600 characters long at most', async () => {
  const long = (length: number) => check(() => [ok('it', 'x'.repeat(length))])
  assert.equal((await runCheck(long(600), subject, 1_000))[0]?.seen.length, 600)
  assert.equal((await runCheck(long(601), subject, 1_000))[0]?.seen, `${'x'.repeat(600)}…`)
})
