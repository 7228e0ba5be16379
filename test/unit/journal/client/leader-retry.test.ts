/** Asking again, in virtual time: what is told when the time is over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { createLeaderRetry, untilRead } from '../../../../protocols/journal/client/leader-retry.ts'

const LIMIT_MS = 2_000

const answers = (reason: string): ParleyError => new ParleyError('STA003', reason, { details: { reason } })

/** Asks until the time is over, each try answered with the next of these reasons, the last one from then on. */
const told = async (...reasons: string[]): Promise<{ error: unknown; tries: number }> => {
  const time = createVirtualTime()
  const port = { timers: time, random: (bytes: number) => new Uint8Array(bytes) }
  const whereabouts = {
    setFromOwnGroup() {},
    onReport() {},
    leader: () => undefined,
    latest: () => ({ epoch: 0, version: 0, seats: [], isPresent: false, silentMs: Number.POSITIVE_INFINITY }),
    markGone() {},
    markDoubtful() {},
    find: () => Promise.reject(new Error('nobody asks')),
    onChange: () => () => {},
    reset() {},
    stop() {},
  }
  const { untilAnswered } = createLeaderRetry({ port, leaderTracker: whereabouts })
  const limit = new AbortController()
  time.after(LIMIT_MS, () => limit.abort(new ParleyError('COM001', 'late', { details: { reason: 'no-leader' } })))
  let tries = 0
  const asked = untilAnswered(limit.signal, async () => {
    tries += 1
    throw answers(reasons[Math.min(tries, reasons.length) - 1] ?? '')
  })
  const error = await time.settled(
    asked.catch((failure: unknown) => failure),
    LIMIT_MS + 1,
  )
  return { error, tries }
}

test('a coordinator without room on its disk is asked again, and its own word is told when the time is over', async () => {
  const { error, tries } = await told('disk-full')
  assert.ok(isParleyError(error, 'STA003') && error.details.reason === 'disk-full', String(error))
  assert.ok(tries > 3, `${tries} tries`)
})

test('where nobody leads when the time is over, that is told, with the last word as its cause', async () => {
  const { error } = await told('disk-full', 'not-leader')
  assert.ok(isParleyError(error, 'COM001') && error.details.reason === 'no-leader', String(error))
  assert.ok(isParleyError(error.cause, 'STA003') && error.cause.details.reason === 'not-leader')
})

test('a read outlasts uses of the journal that nobody answered, until it is refused, is aborted, or its node stops', async () => {
  const time = createVirtualTime()
  const late = () => new ParleyError('COM001', 'late', { details: { reason: 'no-leader' } })
  const read = (signal: AbortSignal | undefined, ...answers: unknown[]): Promise<unknown> =>
    untilRead(time, signal, async () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      if (answer instanceof Error) throw answer
      return answer
    }).catch((error: unknown) => error)
  assert.equal(await time.settled(read(undefined, late(), late(), answers('not-founded'), 'it'), 60_000), 'it')
  const stopped = new ParleyError('COM002', 'this node stops', { details: { reason: 'stopped' } })
  for (const last of [new ParleyError('SEC002', 'not yours'), new TypeError('a mistake'), stopped])
    assert.equal(await time.settled(read(undefined, late(), last), 60_000), last)
  const given = new AbortController()
  const aborted = read(given.signal, late())
  await time.run(60_000)
  given.abort()
  assert.ok(isParleyError(await time.settled(aborted, 1), 'COM001'))
})
